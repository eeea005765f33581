"""The wording of the word problems: names, items, story templates and number ranges.

A story is a sentence template plus its plan, the steps that solve it in order. In both, one letter stands for one
number: `k` and `l` count groups, `p` and `q` are what a group holds, `a`, `b` and `d` are amounts; `x`, `y`, `z`, `w`
name the results of the steps. `{n}` and `{o}` are two different names, `{i}` the items, `{c}` their containers.
"""

from typing import NamedTuple


class Story(NamedTuple):
    """One template; `plan` reads like "x=k*p y=x-a" and its last result is the answer."""

    text: str
    plan: str


class Setting(NamedTuple):
    """What fills a story: vocabulary, the inclusive range of each kind of number, the largest result allowed."""

    names: tuple[str, ...]
    items: tuple[str, ...]
    containers: tuple[str, ...]
    groups: tuple[int, int]
    per_group: tuple[int, int]
    amounts: tuple[int, int]
    result_max: int


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


USUAL = Setting(
    names=words("Ben Mia Tom Ana Leo Eva Sam Zoe Max Ida Noa Kai Lea Jan Amy Raj Lin Ali Eli Ada"),
    items=words("apples pens books coins cards eggs shells stamps beads cakes stones toys cups nuts roses plums"),
    containers=words("boxes bags jars trays"),
    groups=(2, 9),
    per_group=(11, 79),
    amounts=(13, 199),
    result_max=799,
)
NEW_NAMES = USUAL._replace(
    names=words("Fatima Oskar Priya Chidi Yuki Mateo Ingrid Tariq Bruna Soren"),
    items=words("lanterns pebbles ribbons walnuts tickets magnets acorns buttons"),
    containers=words("crates drawers buckets"),
)
LARGE_NUMBERS = USUAL._replace(per_group=(80, 160), amounts=(200, 600), result_max=9999)

STORIES: dict[str, tuple[Story, ...]] = {
    "add_subtract": (
        Story("{n} has {a} {i} and buys {b} more. How many {i} does {n} have now?", "x=a+b"),
        Story("There are {a} red {i} and {b} blue {i}. How many {i} are there?", "x=a+b"),
        Story("{n} has {a} {i} and {o} has {b}. How many {i} do they have together?", "x=a+b"),
        Story("{n} had {a} {i} and gave away {b}. How many {i} are left?", "x=a-b"),
        Story("Of {a} {i}, {b} were sold. How many {i} are left?", "x=a-b"),
        Story("{n} has {a} {i} and {o} has {b}. How many more {i} does {n} have?", "x=a-b"),
    ),
    "multiply": (
        Story("{n} has {k} {c} of {p} {i}. How many {i} does {n} have?", "x=k*p"),
        Story("There are {p} {i} in each of {k} {c}. How many {i} are there?", "x=k*p"),
        Story("{n} buys {p} {i} a day for {k} days. How many {i} does {n} have now?", "x=k*p"),
        Story("{k} friends have {p} {i} each. How many {i} do they have together?", "x=k*p"),
    ),
    "share": (
        Story("{n} shares {a} {i} among {k} friends. How many {i} does each get?", "x=a/k"),
        Story("There are {a} {i} in {k} equal {c}. How many {i} are in each?", "x=a/k"),
        Story("{n} puts {a} {i} in {c} of {k}. How many {c} are there?", "x=a/k"),
    ),
    "two_step": (
        Story("{n} has {k} {c} of {p} {i} and gives away {a}. How many {i} are left?", "x=k*p y=x-a"),
        Story("{n} has {k} {c} of {p} {i} and buys {a} more. How many {i} does {n} have now?", "x=k*p y=x+a"),
        Story("{n} had {a} {i}, bought {b} and gave away {d}. How many {i} are left?", "x=a+b y=x-d"),
        Story(
            "{n} had {a} {i}, sold {b} and shares the rest among {k} friends. How many {i} does each get?",
            "x=a-b y=x/k",
        ),
        Story(
            "{n} has {a} {i} and {o} has {b}. They put them in {k} equal {c}. How many {i} are in each?", "x=a+b y=x/k"
        ),
    ),
    "compare": (
        Story("{n} has {a} {i}. {o} has {b} more than {n}. How many {i} do they have together?", "x=a+b y=a+x"),
        Story("{n} has {a} {i}. {o} has {b} fewer than {n}. How many {i} do they have together?", "x=a-b y=a+x"),
        Story("{n} has {p} {i}. {o} has {k} times as many. How many {i} do they have together?", "x=k*p y=p+x"),
        Story("{n} has {p} {i}. {o} has {k} times as many. How many more {i} does {o} have?", "x=k*p y=x-p"),
    ),
    "three_step": (
        Story(
            "{n} has {k} {c} of {p} {i}, buys {a} more and gives away {b}. How many {i} are left?", "x=k*p y=x+a z=y-b"
        ),
        Story("{n} has {k} {c} of {p} {i} and {l} {c} of {q} {i}. How many {i} does {n} have?", "x=k*p y=l*q z=x+y"),
        Story(
            "{n} has {a} {i}. {o} has {b} more than {n}. They share them among {k} friends. "
            "How many {i} does each get?",
            "x=a+b y=a+x z=y/k",
        ),
        Story(
            "{n} has {k} {c} of {p} {i}, sells {a} and shares the rest among {l} friends. How many {i} does each get?",
            "x=k*p y=x-a z=y/l",
        ),
    ),
}
"""Ordinary stories by category, from easy to hard."""

REWORDED: tuple[Story, ...] = (
    Story("After buying {b} {i} on top of the {a} in the shed, how many {i} does {n} own?", "x=a+b"),
    Story("A shelf of {a} {i} loses {b} in a storm. Count the {i} still on it.", "x=a-b"),
    Story("Every one of {k} {c} is filled with {p} {i}. What is the total?", "x=k*p"),
    Story("Split {a} {i} evenly between {k} people. What is the share of one?", "x=a/k"),
    Story("Out of {k} {c}, each with {p} {i} inside, {n} takes {a} {i} home. What remains?", "x=k*p y=x-a"),
    Story("{o} owns {b} {i} more than {n}, who owns {a}. Find the sum of both.", "x=a+b y=a+x"),
    Story(
        "{n} fills {k} {c} with {p} {i} each, adds {a} and then drops {b}. What is the final count?",
        "x=k*p y=x+a z=y-b",
    ),
)
FOUR_STEPS: tuple[Story, ...] = (
    Story(
        "{n} has {k} {c} of {p} {i} and {l} {c} of {q} {i}, and gives away {a}. How many {i} are left?",
        "x=k*p y=l*q z=x+y w=z-a",
    ),
    Story(
        "{n} has {k} {c} of {p} {i}, buys {a} more, gives away {b} and sells {d}. How many {i} are left?",
        "x=k*p y=x+a z=y-b w=z-d",
    ),
    Story(
        "{n} has {k} {c} of {p} {i}. {o} has {a} more than {n}. They share them among {l} friends. "
        "How many {i} does each get?",
        "x=k*p y=x+a z=x+y w=z/l",
    ),
)
