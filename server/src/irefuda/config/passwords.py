"""How the passwords that agencies hand out for 資格審査情報検索 are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, as OWASP's password storage cheat sheet recommends.

    Django's default takes 100 MiB for every check: a handful of look-ups at once would take more than a web process has.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1
