"""The reading of what begins with the end of the contract, in both languages."""

from collections.abc import Iterator

from contract.terms import Terms


def clocks_in_chinese(terms: Terms) -> Iterator[str]:
    """Yield secrecy, deletion and record keeping, where the terms speak of them."""
    if clocks := terms.clocks:
        yield (
            f"合同终止后: 保密 {clocks.secrecy_years} 年; 个人信息与原始数据在 {clocks.delete_within_days} 天内返还或删除; "
            f"处理记录留存 {clocks.records_years} 年。三个期限各自计算。"
        )
        yield "委托方造成的停工日 (自停工次日至恢复当日, 以停工台账为准) 不计入交付期限。"


def clocks_in_english(terms: Terms) -> Iterator[str]:
    """Yield secrecy, deletion and record keeping, where the terms speak of them."""
    if clocks := terms.clocks:
        yield (
            f"After the end of the contract: secrecy for {clocks.secrecy_years} years; return or deletion of personal and "
            f"raw data within {clocks.delete_within_days} days; records of processing kept for {clocks.records_years} "
            "years. Each runs by itself."
        )
        yield (
            "Days on which the client held up the work (from the day after it stopped to the day on which it went on, by "
            "the ledger of blockers) do not count towards the deadline."
        )
