"""Words that decide which label is meant, so that no slip of the fingers may turn another word into them or them into another."""

from __future__ import annotations

_NEGATIONS = """
    not no non never none nor neither without cannot cant wont dont doesnt didnt isnt arent wasnt werent hasnt havent except
    nicht kein keine keinen ohne nie pas sans jamais aucun sin nunca ningun ningún nao não sem senza mai niet geen zonder inte ingen utan
    не нет без никогда"""
_NUMERALS = "i ii iii iv v vi vii viii ix x xi xii one two three four five six seven eight nine ten"

MARKING = frozenset((_NEGATIONS + " " + _NUMERALS).split())
"""Negations and numerals: a label has the same ones as the answer that means it."""

_SHORT = """
    a add age air all am an and any app are arm art as ask at bad bag bar be bed bet bid big bit box boy bus but buy by cab can cap car cat cut
    dad day did die do dog dry due ear eat end eye fan far fat fee few fit fix fly for fun gas get go god got gun guy had has hat he her hi him
    his hit hot how hub ice id if ill in ink is it its job key kid law lay led leg let lie lot low mad man map may me men met mix mom my net new
    now odd of off oil ok old on or our out own pan pay pc pen per pet pin pm pop pot put raw red rid row run sad sat say sea see set sex she
    shy sit sky so son sue sum sun tab tap tax tea the tie tip to too top toy try tv uk up us use van war was way we wet who why win won yes yet
    you zip"""

SHORT_WORDS = frozenset(_SHORT.split())
"""English words of up to three letters: each is one slip away from others."""
