"""What people and models say in answers that asserts nothing, and small numbers as words: short lists, written for this project."""

from __future__ import annotations

import re

_NUMBER_LISTS = """
zero one two three four five six seven eight nine ten eleven twelve
null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf
zéro un deux trois quatre cinq six sept huit neuf dix onze douze
cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce
zero uno due tre quattro cinque sei sette otto nove dieci undici dodici
zero um dois três quatro cinco seis sete oito nove dez onze doze
nul een twee drie vier vijf zes zeven acht negen tien elf twaalf
ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать"""

NUMBER_WORDS: dict[str, str] = {
    word: str(number)
    for line in reversed(_NUMBER_LISTS.strip().splitlines())
    for number, word in enumerate(line.split())
}
"""`three` → `3`: a document may write out what an answer gives in digits."""

_LONGEST = 300  # characters looked at: who says that there is nothing says it soon

# Language → what is spoken of, what denies, and what the one would have to do: a sentence with all three says that nothing was found.
_NOTHING = {
    "en": (
        r"passages?|documents?|context|sources?|pages?|excerpts?|snippets?|texts?|information",
        r"not|\w+n['’]t|no|nothing|none|cannot|unable|insufficient|neither",
        r"contain\w*|mention\w*|says?|said|stat\w+|answer\w*|provid\w+|includ\w+|specif\w+|address\w*|discuss\w*|found|find|enough|about|tell|in the",
    ),
    "de": (
        r"dokument\w*|passage\w*|abschnitt\w*|kontext\w*|quellen?|text\w*|seiten?|auszüg\w*|information\w*|angaben",
        r"nicht|nichts|kein\w*",
        r"enth\w+|erwähn\w*|beantwort\w*|genannt|angegeben|steht|stehen|f[iu]nd\w*|gefunden|hervor\w*|entnehmen|vor|verfügbar",
    ),
    "fr": (
        r"documents?|passages?|contexte|sources?|pages?|textes?|extraits?|informations?",
        r"ne|n['’]\w+|pas|aucune?|rien",
        r"contien\w+|mention\w*|répon\w+|indiqu\w+|précis\w+|trouv\w+|permet\w*|fourni\w*|figur\w*",
    ),
    "es": (
        r"documentos?|pasajes?|contexto|fuentes?|páginas?|textos?|fragmentos?|información",
        r"no|ning[uú]n\w*|nada",
        r"contien\w+|mencion\w*|respond\w+|indic\w+|especific\w+|encuentr\w+|encontr\w+|proporcion\w+|aparec\w+|dicen?",
    ),
    "it": (
        r"document\w+|passagg\w+|contesto|font[ei]|pagin\w+|test[oi]|estratt\w+|brani|informazion\w+",
        r"non|nessun\w*|nulla|niente",
        r"conteng\w+|contien\w+|menzion\w+|rispond\w+|indic\w+|specific\w+|trov\w+|forni\w+|dic\w+",
    ),
    "pt": (
        r"documentos?|passagens?|contexto|fontes?|páginas?|textos?|trechos?|informaç\w+",
        r"não|nenhum\w*|nada",
        r"cont[êée]\w*|mencion\w+|respond\w+|indic\w+|especific\w+|encontr\w+|fornec\w+|diz\w*",
    ),
    "nl": (
        r"document\w*|passages?|context|bron\w*|pagina\w*|teksten?|informatie",
        r"niets?|geen",
        r"bevat\w*|vermeld\w*|noem\w*|beantwoord\w*|sta\w*|vind\w*|gevonden|gev\w+|geef\w*",
    ),
    "ru": (
        r"документ\w*|отрыв\w*|контекст\w*|источник\w*|страниц\w*|текст\w*|фрагмент\w*|информаци\w*|сведени\w*",
        r"не|нет|ничего",
        r"содерж\w*|упом\w*|отве[чт]\w*|указ\w*|найден\w*|говор\w*|о|об",
    ),
}
_NOTHING_UNSPACED = (
    ("文档|文件|段落|上下文|资料|資料|文中|页面|来源|信息|内容", "没有|未|无法|無法|沒有|不", "提及|提到|包含|回答|说明|提供|找到|相关|涉及"),
    ("文書|ドキュメント|文脈|資料|ページ|本文|情報|抜粋|文章", "ない|ません|なし|なかった", "記載|含まれ|言及|回答|答え|書かれ|見つか|情報"),
)  # fmt: skip
_ALL_THREE = [
    re.compile("".join(rf"(?=.*?(?<!\w)(?:{words})(?!\w))" for words in three), re.IGNORECASE | re.DOTALL)
    for three in _NOTHING.values()
] + [re.compile("".join(f"(?=.*?(?:{words}))" for words in three), re.DOTALL) for three in _NOTHING_UNSPACED]
_DO_NOT_KNOW = re.compile(
    r"\W*(?:i (?:do not|don['’]t|cannot|can['’]t) (?:know|answer|say|tell|find)|i(?: am|['’]m) (?:unable|not able)|ich weiß (?:es )?nicht|"
    r"das (?:weiß|kann) ich nicht|je ne (?:sais|peux) pas|no (?:lo )?sé\b|non (?:lo )?so\b|não sei\b|ik weet (?:het )?niet|я не знаю|"
    r"我不知道|无法回答|わかりません|分かりません)",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"\W*(?:sure|certainly|of course|hello|hi|hey|dear|thanks?|thank you|great question|good question|you(?:['’]re| are) welcome|i hope|"
    r"let me know|feel free|here (?:is|are)|please|gerne|hallo|guten tag|danke|natürlich|ich hoffe|bonjour|merci|bien sûr|j['’]espère|"
    r"hola|gracias|claro|por supuesto|espero que|ciao|grazie|certo|spero|olá|obrigad[oa]|здравствуйте|спасибо|конечно|надеюсь)\b"
    r"|\W*(?:你好|您好|好的|谢谢|希望|こんにちは|ありがとう|はい)",
    re.IGNORECASE,
)
_COURTESY_WORDS = 14


def says_nothing_found(sentence: str) -> bool:
    """Whether a sentence says that the passages do not answer."""
    beginning = sentence[:_LONGEST]
    return bool(_DO_NOT_KNOW.match(beginning)) or any(pattern.match(beginning) for pattern in _ALL_THREE)


def is_courtesy(sentence: str) -> bool:
    """Whether a sentence is a greeting, thanks, or an offer of more help, and short."""
    return len(sentence.split()) <= _COURTESY_WORDS and len(sentence) <= _LONGEST and bool(_COURTESY.match(sentence))
