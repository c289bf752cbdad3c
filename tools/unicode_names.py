#!/usr/bin/env python3
"""Writes src/knowledge/concept_name_table.c from the Unicode data of this Python.

usage: unicode_names.py > src/knowledge/concept_name_table.c

Four tables for comparing names: lower case as str.lower() gives it; the two properties that decide
how a capital sigma at the end of a word is lowered; and a folding after which names are equal
exactly when they match caselessly and compatibly (Unicode, D146).
"""
import unicodedata

CODES = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)      # decomposed by arithmetic
IOTA_SUBSCRIPT = "\u0345"           # folds to a letter, but is ordered as a mark until then


def lower(code):
    return chr(code).lower()


def fold(code):
    """The decomposed and folded form of one character; a subscript iota stays one."""
    text = unicodedata.normalize("NFD", chr(code))
    kept = text.split(IOTA_SUBSCRIPT)
    parts = []
    for part in kept:
        part = unicodedata.normalize("NFKD", part.casefold())
        parts.append(unicodedata.normalize("NFKD", part.casefold()))
    return IOTA_SUBSCRIPT.join(parts)


def mappings(function, skip):
    """(code, code) runs with one distance and one stride, and (code, text) for all others."""
    single, several = [], []
    for code in CODES:
        if code in skip or (text := function(code)) == chr(code):
            continue
        if len(text) == 1:
            single.append((code, ord(text)))
        else:
            several.append((code, text))
    return single, several


def ranges_of(pairs):
    """Runs (first, last, stride, distance): strides are 1 or 2, so that Aa Bb Cc is one run."""
    runs = []
    for code, to in pairs:
        if runs:
            first, last, stride, distance = runs[-1]
            step = code - last
            if to - code == distance and step in (1, 2) and stride in (0, step):
                runs[-1] = (first, code, step, distance)
                continue
        runs.append((code, code, 0, to - code))
    return [(first, last, stride or 1, distance) for first, last, stride, distance in runs]


def spans_of(values):
    """Runs (first, last, value) of equal values that are not 0."""
    spans = []
    for code, value in values:
        if not value:
            continue
        if spans and spans[-1][1] == code - 1 and spans[-1][2] == value:
            spans[-1] = (spans[-1][0], code, value)
        else:
            spans.append((code, code, value))
    return spans


def sigma_property(code):
    """How str.lower() sees the character before a final sigma: 1 cased, 2 case-ignorable."""
    if (" " + chr(code) + "\u03a3").lower()[-1] == "\u03c2":
        return 1
    return 2 if ("A" + chr(code) + "\u03a3").lower()[-1] == "\u03c2" else 0


def pool_of(texts):
    pool = []
    places = {}
    for text in sorted(set(texts), key=lambda text: (-len(text), text)):
        joined = "".join(pool)
        at = joined.find(text)
        if at < 0:
            at = len(joined)
            pool.append(text)
        places[text] = at
    return "".join(pool), places


def rows(items):
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            print(line)
            line = "   "
        line += " " + item + ","
    print(line)


def table(declaration, items):
    print(f"\nconst {declaration}[] = {{")
    rows(items)
    print("};")


def count(name):
    print(f"const size_t {name}_count = sizeof {name} / sizeof {name}[0];")


lower_single, lower_several = mappings(lower, ())
assert lower_several == [(0x130, "i\u0307")], "concept_name.c knows only this one"
fold_single, fold_several = mappings(fold, HANGUL)
pool, places = pool_of([text for _, text in fold_several])

print(f"""/*
 * concept_name_table.c -- Unicode {unicodedata.unidata_version}: lower case, foldings, combining classes.
 *
 * Owns:     tables; written by tools/unicode_names.py, not by hand.
 * Must not know: how they are used.
 * Threads:  any.
 * Fails:    never.
 * Begin at: concept_name.c.
 */
/* clang-format off */
#include "knowledge/concept_name_impl.h"
""", end="")
for name, single in (("t3_lower_ranges", lower_single), ("t3_fold_ranges", fold_single)):
    table(f"struct t3_map_range {name}", [f"{{{a:#x},{b:#x},{s},{d}}}" for a, b, s, d in ranges_of(single)])
    count(name)
table("struct t3_map_sequence t3_fold_sequences", [f"{{{c:#x},{places[t]},{len(t)}}}" for c, t in fold_several])
count("t3_fold_sequences")
table("uint32_t t3_fold_pool", [f"{ord(c):#x}" for c in pool])
for name, function in (("t3_sigma_spans", sigma_property), ("t3_class_spans", lambda c: unicodedata.combining(chr(c)))):
    table(f"struct t3_span {name}", [f"{{{a:#x},{b:#x},{v}}}" for a, b, v in spans_of((c, function(c)) for c in CODES)])
    count(name)
