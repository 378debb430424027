"""What counts of a resolv.conf."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdisco.names import Endpoint
from peerdisco.pod.resolv_conf import ResolvConf, parse_resolv_conf


def servers(*addresses: str) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(address, 53) for address in addresses)


def test_what_the_kubelet_writes() -> None:
    text = (
        "search default.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 10.96.0.10\n"
        "options ndots:5\n"
    )
    assert parse_resolv_conf(text) == ResolvConf(
        servers("10.96.0.10"),
        ("default.svc.cluster.local", "svc.cluster.local", "cluster.local"),
        options=("ndots:5",),
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "; nothing\n", "options\n"])
def test_a_file_that_says_nothing(text: str) -> None:
    assert parse_resolv_conf(text) == ResolvConf()


def test_three_name_servers_count_in_their_order() -> None:
    text = "".join(f"nameserver 10.0.0.{n}\n" for n in (9, 1, 5, 3))
    assert parse_resolv_conf(text).nameservers == servers("10.0.0.9", "10.0.0.1", "10.0.0.5")


def test_the_name_servers_after_the_third_are_known_as_unused() -> None:
    text = "".join(f"nameserver 10.0.0.{n}\n" for n in range(1, 6))
    assert parse_resolv_conf(text).unused == servers("10.0.0.4", "10.0.0.5")


@pytest.mark.parametrize(
    ("line", "ndots"),
    [
        ("options ndots:5", 5),
        ("options ndots:0", 0),
        ("options ndots:5 ndots:2", 2),
        ("options ndots:5\noptions rotate ndots:1", 1),
        ("options ndots:99999999999999999999", 15),
        ("options ndots:", 1),
        ("options ndots:-1", 1),
        ("options ndots:٥", 1),
        ("options", 1),
    ],
)
def test_ndots_is_that_of_the_c_library(line: str, ndots: int) -> None:
    assert parse_resolv_conf(f"{line}\n").ndots == ndots


def test_a_name_server_that_is_no_address_takes_no_place() -> None:
    text = (
        "nameserver localhost\nnameserver\nnameserver 10.0.0.256\n"
        "nameserver 10.0.0.1\nnameserver fd00::a\nnameserver fe80::1%eth0\n"
    )
    conf = parse_resolv_conf(text)
    assert conf.nameservers == servers("10.0.0.1", "fd00::a", "fe80::1%eth0")
    assert conf.invalid == ("localhost", "10.0.0.256")


def test_tabs_spaces_and_line_ends_of_other_systems() -> None:
    text = "nameserver\t10.0.0.1  \r\nsearch \t a.example\tb.example \r\n"
    assert parse_resolv_conf(text) == ResolvConf(servers("10.0.0.1"), ("a.example", "b.example"))


def test_comments_do_not_count() -> None:
    text = "#nameserver 10.0.0.1\n; search a.example\n# search b.example\nnameserver 10.0.0.2\n"
    assert parse_resolv_conf(text) == ResolvConf(servers("10.0.0.2"))


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("search a.example\nsearch b.example c.example\n", ("b.example", "c.example")),
        ("domain a.example\n", ("a.example",)),
        ("domain a.example b.example\n", ("a.example",)),
        ("domain a.example\nsearch b.example\n", ("b.example",)),
        ("search b.example\ndomain a.example\n", ("a.example",)),
        ("search a.example\nsearch\n", ("a.example",)),
        ("search a.example\nsearch \t\r\n", ("a.example",)),
        ("search a.example\ndomain\n", ("a.example",)),
        ("search\n", ()),
    ],
)
def test_the_last_search_or_domain_line_counts(text: str, search: tuple[str, ...]) -> None:
    assert parse_resolv_conf(text).search == search


NO_LINE_ENDS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\0"]


@pytest.mark.parametrize("mark", NO_LINE_ENDS, ids=ascii)
def test_nothing_but_a_newline_ends_a_line(mark: str) -> None:
    text = f"# was:{mark}nameserver 192.0.2.9\n; {mark}search b.example\nnameserver 192.0.2.1\n"
    assert parse_resolv_conf(text) == ResolvConf(servers("192.0.2.1"))


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\xa0", "\u3000", "\x1c"], ids=ascii)
def test_only_blanks_of_ascii_separate_words(mark: str) -> None:
    assert parse_resolv_conf(f"nameserver{mark}192.0.2.9\n") == ResolvConf()
    assert parse_resolv_conf(f"search a.example{mark}b.example\n").search == (
        f"a.example{mark}b.example",
    )


def test_a_keyword_begins_in_the_first_column() -> None:
    assert parse_resolv_conf(" nameserver 192.0.2.9\n\tsearch a.example\n") == ResolvConf()


@pytest.mark.parametrize("line", ["options use-vc", "options ndots:5\tuse-vc timeout:1\r"])
def test_use_vc_asks_every_name_server_over_tcp(line: str) -> None:
    text = f"nameserver 10.0.0.1\n{line}\noptions rotate\nnameserver 10.0.0.2\n"
    conf = parse_resolv_conf(text)
    assert conf.use_vc
    assert conf.nameservers == (
        Endpoint("10.0.0.1", 53, tcp=True),
        Endpoint("10.0.0.2", 53, tcp=True),
    )
    assert not parse_resolv_conf("nameserver 10.0.0.1\noptions no-use-vc\n").use_vc


def test_words_that_are_not_known_are_passed_over() -> None:
    text = "sortlist 10.0.0.0\nnameservers 10.0.0.1\nsearching a\nNAMESERVER 10.0.0.1\ntrust-ad\n"
    assert parse_resolv_conf(text) == ResolvConf()


def test_a_long_search_list_is_kept_whole() -> None:
    domains = tuple(f"d{n}.example" for n in range(32))
    assert parse_resolv_conf(f"search {' '.join(domains)}").search == domains


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    read = parse_resolv_conf(text)
    assert len(read.nameservers) <= 3


@pytest.mark.parametrize(
    "line", ["nameserver 10.0.0.x\n", "\n", "options a b c d e f g\n", "search a b c d e f g\n"]
)
def test_a_file_of_a_million_characters_takes_no_longer_than_what_is_read(line: str) -> None:
    def seconds(characters: int) -> float:
        text = line * (characters // len(line))
        start = time.thread_time()
        parse_resolv_conf(text)
        return time.thread_time() - start

    whole, read = (min(seconds(size) for _ in range(4)) for size in (2_000_000, 65_536))
    assert whole < 5 * read


def test_what_is_ignored_of_a_long_file_begins_with_a_line() -> None:
    first, comment = "nameserver 10.0.0.1\n", f"#{'-' * 63}\n"
    long = first + comment * 1100 + "nameserver 10.0.0.2\n"
    conf = parse_resolv_conf(long)
    assert conf.nameservers == (Endpoint("10.0.0.1", 53),)
    assert len(long) - conf.unread <= 65_536 < len(long) - conf.unread + len(comment)
    cut = first + " " * (65_536 - len(first) - 20) + "\nnameserver 10.0.0.23\n"
    assert cut[65_535] == "2"
    assert parse_resolv_conf(cut).nameservers == (Endpoint("10.0.0.1", 53),)
    exact = "nameserver 10.0.0.1\n" + "#" * (65_536 - 20)
    assert parse_resolv_conf(exact).unread == 0
    assert parse_resolv_conf("#" * 65_537).unread == 65_537
