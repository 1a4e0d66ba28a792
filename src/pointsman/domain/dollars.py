"""Money as text, and in nano-dollars."""

NANO = 1_000_000_000  # nano-dollars in a dollar


def dollars(nano: int, *, symbol: str = "$", decimals: int = 0, grouped: bool = False) -> str:
    """Return nano-dollars as dollars, exactly: `$0.000000002`, `$50`. The result has at least `decimals` decimals.
    `grouped` puts a comma before every three digits of the whole dollars."""
    if nano < 0:
        return "-" + dollars(-nano, symbol=symbol, decimals=decimals, grouped=grouped)
    digits = f"{nano:010d}"
    whole, fraction = digits[:-9], digits[-9:].rstrip("0")
    if grouped:
        whole = f"{int(whole):,}"
    if len(fraction) < decimals:
        fraction = fraction.ljust(decimals, "0")
    return f"{symbol}{whole}.{fraction}" if fraction else symbol + whole


def nano_of(usd: float) -> int:
    """Return dollars as nano-dollars."""
    return round(usd * NANO)
