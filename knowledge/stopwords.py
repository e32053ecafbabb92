"""The commonest words of each language: what tells languages apart, and what a query can spare.

Lists are short on purpose: articles, pronouns, prepositions, auxiliaries, question words. They were written for this project.
"""

from __future__ import annotations

_LISTS = {
    "ar": """
        في من على إلى عن مع أن إن كان كانت هذا هذه ذلك تلك التي الذي الذين ما ماذا هل هو هي هم كيف متى أين كم أي لم لا لن قد ثم أو بعد قبل بين
        كل حتى عند منذ حول ضد خلال غير لماذا""",
    "ca": """
        el la els les un una uns unes de del dels a al als en per amb sense i o que què és són era va ser ha han com quan on qui quin quina
        quins quines quant es se li lo no més aquest aquesta seu seva""",
    "cs": """
        a i v ve na z ze do k ke s se o od po pro při za že je jsou byl byla bylo byli být to ten ta ti jako jak který která které co kdo kdy kde
        kolik jaký jaká jaké proč nebo ale si by""",
    "da": """
        den det de en et er var og i på til af for med om at som fra ved har havde blev hvad hvem hvor hvornår hvordan hvilken hvilket hvilke
        mange ikke men eller han hun sig""",
    "de": """
        der die das den dem des ein eine einer eines einem einen und oder aber in im ins an am auf aus bei beim mit nach von vom vor zu zum zur
        für durch über um unter als wie ist sind war waren wird werden wurde wurden hat haben hatte hatten sich es er sie ihr ihre ihrer man
        nicht auch noch was wer wen wem wann wo warum welche welcher welches welchen welchem wieviel viele viel dass daß diese dieser dieses""",
    "el": """
        ο η το οι τα του της των τον την και ή να με σε για από που πως τι ποιος ποια ποιο ποιοι πού πότε πώς πόσο πόσοι πόσα είναι ήταν έχει
        είχε στο στη στην στον στα στις δεν θα ως κατά""",
    "en": """
        a an and are as at be been being but by can could did do does doing done for from had has have having he her him his how i if in into is it
        its may might my no nor not of off on or our shall she should so some such t than that the their them then there these they this those
        to was we were what when where which who whom whose why will with would you your s about any also between during both each many much
        me just while over ll re ve d m don didn doesn isn wasn aren eg ie etc""",
    "es": """
        el la los las lo un una unos unas de del a al en por para con sin sobre entre y e o u que qué quién quiénes cuál cuáles cuándo cuánto cuánta
        cuántos cuántas dónde cómo es son era eran fue fueron ser ha han había se su sus le les no más como cuando donde este esta estos estas
        ese esa esto""",
    "fi": """
        ja on oli ovat olivat ei se ne hän he että joka jotka mikä mitä missä mistä milloin kuka kuinka miten miksi montako kun kuin tai mutta
        myös oliko onko sen ole""",
    "fr": """
        le la les l un une des de du d à au aux en dans sur sous par pour avec sans et ou mais que qu qui quoi quel quelle quels quelles quand où
        comment combien pourquoi est sont était étaient été être a ont avait ce cet cette ces c se s son sa ses leur leurs il elle ils elles on
        ne pas n y plus""",
    "hi": """
        का की के में से को पर ने है हैं था थे थी और या एक यह वह कि जो इस उस क्या कौन कब कहाँ कैसे कितने कितना कितनी किस किसने किन किसके लिए भी तक
        साथ द्वारा कर नहीं हो गया""",
    "hu": """
        a az egy és vagy hogy nem is ez volt van voltak vannak mit mi ki kik mikor hol hogyan mennyi hány milyen melyik miért meg de mint csak
        lesz által""",
    "id": """
        yang di ke dari dan atau untuk dengan pada dalam adalah ini itu tidak oleh apa siapa kapan mana bagaimana berapa mengapa akan telah
        sebagai juga bisa""",
    "it": """
        il lo la i gli le l un uno una di del dello della dei degli delle d a al alla ai alle da dal dalla in nel nella nei con su sul sulla per
        tra fra e ed o che chi cosa quale quali quando quanto quanti quante dove come perché è sono era erano fu furono essere ha hanno aveva si
        suo sua suoi non più questo questa""",
    "nl": """
        de het een en of maar van in op aan te met voor door bij naar uit om over als dat die dit deze is zijn was waren wordt worden werd werden
        heeft hebben had er zich niet ook wat wie wanneer waar hoe hoeveel welke welk waarom""",
    "no": """
        den det de en et ei er var og i på til av for med om at som fra ved har hadde ble hva hvem hvor når hvordan hvilken hvilket hvilke
        mange ikke men eller han hun seg""",
    "pl": """
        i w we na z ze do o od po za przez dla przy że się jest są był była było byli być to ten ta te jak jako który która które kto co kiedy
        gdzie ile jaki jaka jakie dlaczego czy lub ale nie""",
    "pt": """
        o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com sem sobre entre e ou que quem qual quais quando quanto
        quanta quantos quantas onde como é são era eram foi foram ser tem têm tinha se seu sua seus suas não mais ao à este esta""",
    "ro": """
        un o de la în din pe cu pentru prin și sau că care ce cine când unde cum cât câte câți este sunt era erau fost a au al ale ai nu se
        sa mai lui""",
    "ru": """
        и в во на с со к ко о об от по за из у до для при над под не но или а что чтобы как который которая которое которые кто когда где
        сколько какой какая какое какие почему это этот эта был была было были быть он она они его её их же бы ли""",
    "sv": """
        den det de en ett är var och i på till av för med om att som från vid har hade blev vad vem vilka var när hur vilken vilket många inte
        men eller han hon sig""",
    "tr": """
        ve veya ile bir bu şu o için gibi kadar da de ki mi mı mu mü ne kim nerede nasıl neden hangi kaç zaman olarak olan oldu vardır değil
        daha çok""",
    "uk": """
        і й та в у на з із зі до від по за для при про не але або що щоб як який яка яке які хто коли де скільки чому це цей ця був була було
        були бути він вона вони його її їх же би чи""",
    "zh": """
        什么 哪些 哪个 哪里 哪种 哪一 谁的 多少 如何 怎么 怎样 为什 么时 是什 有多 的是 了什 是谁 是否 何时""",
}

STOP_WORDS = {language: frozenset(words.split()) for language, words in _LISTS.items()}
"""ISO 639-1 code → words, casefolded. The Chinese ones are bigrams, as the analyser makes them."""
