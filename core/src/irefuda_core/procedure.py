"""「カードや会社の情報が変わったとき」: a few questions, then the right procedure (domain 3.5).

The tree is data: every answer names the next question or the outcome. `walk` follows what was answered so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Button = Literal["", "登録", "変更", "ICカード更新"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its value in the address, its words, what explains them, and the question or outcome that follows."""

    value: str
    words: str
    leads_to: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its answers."""

    key: str
    words: str
    answers: tuple[Answer, ...]
    help: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do: the entry of 利用者登録メニュー ("" = none), the steps in order, what to have ready, what to beware of."""

    key: str
    title: str
    button: Button
    steps: tuple[str, ...]
    ready: tuple[str, ...] = ()
    beware: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Walk:
    """What was answered so far, and what comes next: either a question or the outcome."""

    answered: tuple[tuple[Question, Answer], ...]
    question: Question | None
    outcome: Outcome | None


_ORDER_TIME = "認証局に申し込んでから届くまで、2週間から1か月ほどかかります。"
_SENT_BIDS = "入札書を出した案件があるときは、開札が終わる前に古いICカードを失効させると、その入札が無効になることがあります。先に契約課に相談してください。"
_PIN = "ICカードのPIN番号"
_NUMBER_AND_NAME = "業者番号（9文字）と、名簿に載っている商号"
_CONTACTS = "連絡先（部署、氏名、住所、電話番号、FAX番号、メールアドレス）"


def _new_card(key: str, *, yes: str, no: str = "order-card") -> Question:
    return Question(
        key,
        "新しいICカードは、手元にありますか。",
        (
            Answer("yes", "はい、届いています", yes),
            Answer("no", "いいえ、まだです", no),
        ),
    )


def _roster(key: str, *, yes: str) -> Question:
    return Question(
        key,
        "変更届は、登録業者名簿に反映されましたか。",
        (
            Answer("yes", "はい、名簿が新しい内容になっています", yes),
            Answer("no", "いいえ、まだ古い内容です", "notice-first"),
            Answer("not-filed", "変更届をまだ出していません", "notice-first"),
        ),
        help="登録業者名簿は「入札情報サービス」で見られます。商号、所在地、代表者（委任しているときは委任先）が新しい内容かを確かめてください。",
    )


START = "event"
QUESTIONS: Mapping[str, Question] = {
    question.key: question
    for question in (
        Question(
            START,
            "何がありましたか。",
            (
                Answer(
                    "card",
                    "ICカードの有効期限が近い、または切れた",
                    "valid",
                    "認証局から更新の案内が届いたときも、こちらです。",
                ),
                Answer(
                    "company",
                    "会社の名前、住所、代表者などが変わった",
                    "what",
                    "商号、本店の所在地、代表者、支店長などの受任者、会社の電話番号です。",
                ),
                Answer(
                    "contact",
                    "連絡先だけが変わった",
                    "change",
                    "担当の部署や人、メールアドレスなどです。会社の名前や代表者は変わっていません。",
                ),
                Answer("lost", "ICカードをなくした、盗まれた、こわれた、失効した", "how"),
                Answer("pin", "PIN番号を忘れた、まちがえてロックされた", "pin-state"),
                Answer("further", "ICカードをもう1枚増やしたい", "further"),
            ),
        ),
        # -- the card comes to its end
        Question(
            "valid",
            "いま登録しているICカードの有効期限は、切れていますか。",
            (
                Answer("yes", "いいえ、まだ使えます", "have-while-valid"),
                Answer("no", "はい、切れています", "have-after-end"),
            ),
            help="有効期限は、認証局から届いた書類や、ログインした後の画面で確かめられます。",
        ),
        _new_card("have-while-valid", yes="same-while-valid"),
        _new_card("have-after-end", yes="same-after-end"),
        Question(
            "same-while-valid",
            "新しいICカードの会社名、本店の住所、取得者の名前は、今のICカードと同じですか。",
            (
                Answer("yes", "はい、どれも同じです", "renewal"),
                Answer("no", "いいえ、変わったものがあります", "roster-while-valid"),
            ),
            help="取得者とは、ICカードの持ち主として証明書に書かれた人です。代表者か、代表者から入札を任された受任者です。",
        ),
        Question(
            "same-after-end",
            "新しいICカードの会社名、本店の住所、取得者の名前は、切れたICカードと同じですか。",
            (
                Answer("yes", "はい、どれも同じです", "register"),
                Answer("no", "いいえ、変わったものがあります", "roster-after-end"),
            ),
            help="取得者とは、ICカードの持ち主として証明書に書かれた人です。代表者か、代表者から入札を任された受任者です。",
        ),
        _roster("roster-while-valid", yes="register"),
        _roster("roster-after-end", yes="register"),
        # -- the company is another one than the card says
        Question(
            "what",
            "何が変わりましたか。",
            (
                Answer("name", "商号、または本店の所在地", "roster-of-company"),
                Answer("holder", "ICカードの取得者（代表者または受任者）", "roster-of-company"),
                Answer(
                    "head",
                    "代表者。ただし、ICカードの取得者は受任者で、替わっていない",
                    "delegation-first",
                    "支店長などの受任者の名前でICカードを作っている会社です。",
                ),
                Answer("phone", "代表電話番号、代表FAX番号、支店名等だけ", "change"),
            ),
            help="二つ以上変わったときは、上にあるものを選んでください。",
        ),
        _roster("roster-of-company", yes="have-of-company"),
        _new_card("have-of-company", yes="register"),
        # -- the card is gone
        Question(
            "how",
            "ICカードは、どうなりましたか。",
            (
                Answer("lost", "なくした、または盗まれた", "lost"),
                Answer(
                    "revoked", "認証局で失効の手続きをした、または画面に「失効しています」と出た", "have-after-loss"
                ),
                Answer("broken", "手元にあるが、こわれて読み取れない", "have-after-loss"),
            ),
        ),
        _new_card("have-after-loss", yes="register"),
        # -- the PIN
        Question(
            "pin-state",
            "認証局には、連絡しましたか。",
            (
                Answer("no", "いいえ、まだです", "pin"),
                Answer("unlocked", "はい、PIN番号が分かり（ロックも解け）、元のカードを使えます", "nothing"),
                Answer("reissued", "はい、新しいICカードを作り直すことになりました", "have-after-reissue"),
            ),
        ),
        _new_card("have-after-reissue", yes="register"),
        _new_card("further", yes="register-further"),
    )
}

OUTCOMES: Mapping[str, Outcome] = {
    outcome.key: outcome
    for outcome in (
        Outcome(
            "change",
            "「変更」で、登録した内容を直してください",
            "変更",
            (
                "「利用者登録メニュー」で「変更」を押し、登録しているICカードで入ります。",
                "変わった項目だけを直し、変更の前と後を確かめて、ICカードで署名します。",
                "メールアドレスを変えたときは、新しいアドレスに届く確認コードを、画面の案内のとおりに入力します。",
            ),
            ("登録しているICカード", _PIN, "新しい連絡先"),
            (
                "企業名称、企業住所、代表者は「変更」では直せません。契約課に変更届を出してください。",
                "既に出した参加申請書などの連絡先は、変わりません。",
            ),
        ),
        Outcome(
            "renewal",
            "「ICカード更新」で、新しいICカードに切り替えてください",
            "ICカード更新",
            (
                "「利用者登録メニュー」で「ICカード更新」を押します。",
                "画面の案内のとおりに、今のICカード、新しいICカードの順に差し込みます。",
                "二枚の内容を見くらべて「更新」を押します。企業IDと、途中の手続きはそのまま引き継がれます。",
            ),
            ("今のICカードと、そのPIN番号", "新しいICカードと、そのPIN番号"),
            (
                "更新が済むと、古いICカードではログインできません。",
                "今のICカードの有効期限が切れる前に行ってください。",
                _SENT_BIDS,
            ),
        ),
        Outcome(
            "register",
            "新しいICカードで「登録」をしてください",
            "登録",
            (
                "「利用者登録メニュー」で「登録」を押し、新しいICカードで入ります。",
                "前と同じ業者番号と、いまの名簿の商号で検索します。",
                "連絡先を入力し、内容を確かめて、新しいICカードで署名します。企業IDは前と同じです。",
                "使わなくなった古いICカードが残っているときは、新しいICカードでマイページに入り、「使用を止める」で止めます。",
            ),
            ("新しいICカード", "新しいICカードのPIN番号", _NUMBER_AND_NAME, _CONTACTS),
            (
                "会社名や取得者が変わった後に、古いICカードで入札しないでください。入札が無効になることがあります。",
                _SENT_BIDS,
            ),
        ),
        Outcome(
            "register-further",
            "増やすICカードで「登録」をしてください",
            "登録",
            (
                "「利用者登録メニュー」で「登録」を押し、増やすICカードで入ります。",
                "今と同じ業者番号と商号で検索します。企業IDは今のICカードと同じになります。",
                "登録したことを、代表窓口と、今のICカードの利用部署にメールで知らせます。",
            ),
            ("増やすICカード", "増やすICカードのPIN番号", _NUMBER_AND_NAME, _CONTACTS),
            ("調達機関によっては、登録できる枚数や、取得者の名義に決まりがあります。",),
        ),
        Outcome(
            "notice-first",
            "先に、契約課に変更届を出してください",
            "",
            (
                "契約課に、入札参加資格の変更届を出します（出したときは、名簿に反映されるのを待ちます）。",
                "新しい内容のICカードを、認証局に申し込みます（届いているときは要りません）。" + _ORDER_TIME,
                "登録業者名簿が新しい内容になったら、新しいICカードで「登録」をします。企業IDは変わりません。",
            ),
            ("変わったことが分かる書類（登記事項証明書など。契約課に確かめてください）", _NUMBER_AND_NAME),
            (
                "名簿に反映される前は、新しいICカードの登録はできません。",
                "それまでに締切が来る案件は、古いICカードで入札する前に、必ず契約課に相談してください。事実とちがうICカードの入札は、無効になることがあります。",
            ),
        ),
        Outcome(
            "delegation-first",
            "契約課に、変更届と新しい委任状を出してください",
            "",
            (
                "契約課に、代表者の変更届と、新しい代表者からの委任状を出します。",
                "登録業者名簿の代表者が新しい名前になったことを確かめます。",
            ),
            ("代表者が替わったことが分かる書類", "新しい委任状"),
            (
                "ICカードは買い直さなくてかまいません。取得者（受任者）が替わっていないからです。",
                "委任状が受け付けられるまでの入札については、契約課に相談してください。",
            ),
        ),
        Outcome(
            "order-card",
            "認証局に、新しいICカードを申し込んでください",
            "",
            (
                "認証局に、新しいICカードを申し込みます。" + _ORDER_TIME,
                "届いたら、もう一度このページで、次の手続きを確かめてください。",
            ),
            ("認証局が求める書類（認証局に確かめてください）",),
            (
                "会社名は名簿の商号と、取得者は名簿の代表者（委任しているときは受任者）と同じにしてください。",
                "急ぐ案件があるときは、契約課に相談してください。",
            ),
        ),
        Outcome(
            "lost",
            "すぐに、認証局とヘルプデスクに連絡してください",
            "",
            (
                "認証局に連絡し、ICカードの失効を申し込みます。",
                "会社にほかの登録済みのICカードがあれば、それでマイページに入り、「ICカードの使用を止める」で、なくしたICカードをすぐに止めます。",
                "ほかにないときは、ヘルプデスクに連絡し、そのICカードの使用を止めてもらいます。",
                "盗まれたときは、警察にも届けてください。",
                "新しいICカードを申し込み、届いたら「登録」をします。企業IDは変わりません。",
            ),
            (_NUMBER_AND_NAME, "企業ID（15桁）", "なくしたICカードの取得者の名前"),
            (
                "ほかに登録したICカードがあれば、それでそのまま入札に参加できます。",
                _SENT_BIDS,
            ),
        ),
        Outcome(
            "pin",
            "PIN番号を試さずに、認証局に連絡してください",
            "",
            (
                "ICカードを発行した認証局に連絡します。連絡先は、ICカードと一緒に届いた書類にあります。",
                "ロックを解くか、新しいICカードを作り直すかは、認証局が案内します。",
                "作り直すことになったら、もう一度このページで、次の手続きを確かめてください。",
            ),
            ("ICカードと一緒に届いた書類", "ICカードの取得者の名前"),
            (
                "市では、PIN番号を調べることも、ロックを解くこともできません。",
                "当てずっぽうに入力すると、ICカードが使えなくなることがあります。",
            ),
        ),
        Outcome(
            "nothing",
            "手続きは要りません",
            "",
            ("これまでのICカードと登録のまま、電子入札システムを使えます。",),
        ),
    )
}


def walk(answers: Mapping[str, str]) -> Walk:
    """Follow the answers (by question) from the start; what is missing or no answer of its question is asked next."""
    answered: list[tuple[Question, Answer]] = []
    key = START
    while key in QUESTIONS:
        question = QUESTIONS[key]
        chosen = next((answer for answer in question.answers if answer.value == answers.get(key)), None)
        if chosen is None:
            return Walk(tuple(answered), question, None)
        answered.append((question, chosen))
        key = chosen.leads_to
    return Walk(tuple(answered), None, OUTCOMES[key])
