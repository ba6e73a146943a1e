from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registration', '0003_change_and_renewal'),
    ]

    operations = [
        migrations.AlterField(
            model_name='registeredcard',
            name='status',
            field=models.CharField(choices=[('active', '有効'), ('provisional', '仮登録'), ('replaced', '更新済み'), ('closed', '使用停止'), ('rejected', '不受理')], max_length=11),
        ),
    ]
