"""How numbers are put for people, wherever people read them."""


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(8.21), duration(59.6), duration(252.0), duration(7380.0)
    ('8.2 s', '1 min 00 s', '4 min 12 s', '2 h 03 min')
    """
    whole, minutes = round(seconds), round(seconds / 60)
    if whole < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{minutes // 60} h {minutes % 60:02d} min"
