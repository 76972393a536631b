"""What people call the games, and the first and the second move in them."""

TITLES = {
    "prisoners-dilemma": "the iterated prisoner's dilemma",
    "matching-pennies": "iterated matching pennies",
    "stag-hunt": "the iterated stag hunt",
    "chicken": "iterated chicken",
}
MOVES = {
    "prisoners-dilemma": ("cooperating", "defecting"),
    "matching-pennies": ("heads", "tails"),
    "stag-hunt": ("hunting stags", "hunting hares"),
    "chicken": ("swerving", "going straight"),
}
