"""Money as text."""


def dollars(nano: int, *, symbol: str = "$", decimals: int = 0, grouped: bool = False) -> str:
    """Nano-dollars as dollars, exact: `$0.000000002`, `$50`. There are at least so many `decimals`; `grouped` puts a
    comma before every three digits of the whole dollars."""
    if nano < 0:
        return "-" + dollars(-nano, symbol=symbol, decimals=decimals, grouped=grouped)
    digits = f"{nano:010d}"
    whole, fraction = digits[:-9], digits[-9:].rstrip("0")
    if grouped:
        whole = f"{int(whole):,}"
    if len(fraction) < decimals:
        fraction = fraction.ljust(decimals, "0")
    return f"{symbol}{whole}.{fraction}" if fraction else symbol + whole
