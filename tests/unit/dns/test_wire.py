"""DNS messages: what is written, what is read, and every way to be refused."""

from __future__ import annotations

import contextlib
import struct

import dns.exception
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdisco.dns import wire
from peerdisco.dns.wire import MalformedMessage, name_from_text, name_to_text, query, read

from ...vectors_reader import Exchange, exchanges, scenarios

NAME = name_from_text("db.ns.svc.cluster.local")
ROOT = b"\0"
TYPES = {"A": 1, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}


def header(
    questions: int = 0,
    answers: int = 0,
    authority: int = 0,
    additional: int = 0,
    *,
    query_id: int = 7,
    flags: int = 0x8400,
) -> bytes:
    return struct.pack("!6H", query_id, flags, questions, answers, authority, additional)


def record(
    rtype: int, data: bytes, *, owner: bytes = NAME, rclass: int = 1, ttl: int = 30
) -> bytes:
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(data)) + data


def opt(data: bytes = b"", *, payload: int = 1232, ttl: int = 0, owner: bytes = ROOT) -> bytes:
    return record(wire.OPT, data, owner=owner, rclass=payload, ttl=ttl)


def pointer(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


def refused(message: bytes) -> str:
    """Why a message is refused, which it has to be."""
    with pytest.raises(MalformedMessage) as caught:
        read(message)
    assert 0 <= caught.value.offset <= len(message)
    return caught.value.problem


# Questions.


@pytest.mark.parametrize("scenario", scenarios())
def test_a_question_is_written_byte_for_byte_as_it_was_recorded(scenario: str) -> None:
    for exchange in exchanges(scenario):
        written = query(
            int.from_bytes(exchange.query[:2], "big"),
            name_from_text(exchange.name),
            TYPES[exchange.type],
            payload=exchange.edns_payload,
        )
        assert written == exchange.query, exchange


def test_a_question_offers_1232_bytes_by_default() -> None:
    asked = read(query(9, NAME, wire.SRV))
    assert asked.id == 9
    assert asked.edns_payload == 1232
    assert asked.questions == (wire.Question(NAME, wire.SRV, wire.IN),)
    assert not asked.response


def test_a_question_without_edns_has_no_additional_record() -> None:
    asked = read(query(9, NAME, wire.A, payload=None))
    assert asked.edns_payload is None
    assert asked.additional == []


# How a reply is recognised.


def test_a_reply_is_recognised_by_its_id_and_the_qr_bit() -> None:
    question = query(0x1234, NAME, wire.A)
    reply = b"\x12\x34\x80\x00" + bytes(8)
    assert wire.answers_to(reply, question)
    assert not wire.answers_to(b"\x12\x35" + reply[2:], question)
    assert not wire.answers_to(question, question)
    assert not wire.answers_to(reply[:11], question)
    assert not wire.answers_to(b"", question)


# Names.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mysql-0.db", b"\x07mysql-0\x02db\x00"),
        ("mysql-0.db.", b"\x07mysql-0\x02db\x00"),
        ("MySQL-0.DB", b"\x07mysql-0\x02db\x00"),
        ("_mysql._tcp.db", b"\x06_mysql\x04_tcp\x02db\x00"),
        (".", b"\0"),
        ("a" * 63, b"\x3f" + b"a" * 63 + b"\0"),
        (
            ".".join(["a" * 63] * 3 + ["a" * 61]),
            (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0",
        ),
    ],
)
def test_a_name_is_written_in_lower_case_wire_form(text: str, expected: bytes) -> None:
    assert name_from_text(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "..", ".a", "a..b", "a..", "a" * 64, "ä", "ⅷ.db", ".".join(["a" * 63] * 3 + ["a" * 62])],
)
def test_what_is_no_name_is_not_written(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        name_from_text(text)


def test_what_is_wrong_with_a_name() -> None:
    with pytest.raises(ValueError) as caught:
        name_from_text("a." + "b" * 64)
    where = "a." + "b" * 64
    wrong = f"a label of a name has 1 to 63 characters, not 64: '{where}'"
    assert str(caught.value) == wrong
    where = ".".join(["a" * 63] * 3 + ["a" * 62])
    with pytest.raises(ValueError) as caught:
        name_from_text(where)
    assert str(caught.value) == f"a name has at most 255 bytes, not 256: '{where}'"


def test_the_longest_name_has_255_bytes() -> None:
    assert len(name_from_text(".".join(["a" * 63] * 3 + ["a" * 61]))) == 255


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"\0", "."),
        (b"\x02db\x00", "db"),
        (b"\x03a.b\x01c\x00", r"a\.b.c"),
        (b'\x02\\"\x00', r"\\\""),
        (b"\x04;@$(\x00", r"\;\@\$\("),
        (b"\x04)\x00\xff \x00", r"\)\000\255\032"),
        (b"\x02\n\x7f\x00", r"\010\127"),
    ],
)
def test_a_name_as_text_escapes_what_could_be_taken_for_something_else(
    name: bytes, text: str
) -> None:
    assert name_to_text(name) == text


labels = st.lists(st.binary(min_size=1, max_size=63), max_size=8).filter(
    lambda found: sum(len(label) + 1 for label in found) < 255
)


@given(labels)
def test_any_name_is_written_as_text_as_dnspython_writes_it(found: list[bytes]) -> None:
    name = b"".join(bytes((len(label),)) + label for label in found) + b"\0"
    text = name_to_text(name)
    assert text == (dns.name.Name([*found, b""]).to_text(omit_final_dot=True) if found else ".")
    assert "\n" not in text
    assert text.isascii()


host_names = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=70),
    min_size=1,
    max_size=9,
).map(".".join)


@given(host_names, st.sampled_from(["", "."]))
def test_a_host_name_is_written_as_dnspython_writes_it_and_comes_back(text: str, dot: str) -> None:
    try:
        expected = dns.name.from_text(text + dot).canonicalize().to_wire()
    except dns.exception.DNSException:
        with pytest.raises(ValueError, match=r"a name has|a label of a name has"):
            name_from_text(text + dot)
        return
    assert name_from_text(text + dot) == expected
    assert name_to_text(expected) == text.lower()


# Headers.


def test_the_parts_of_the_header_are_read() -> None:
    message = read(header(query_id=0xABCD, flags=0x8700))
    assert message.id == 0xABCD
    assert message.flags == 0x8700
    assert message.response
    assert message.authoritative
    assert message.truncated
    message = read(header(flags=0x0100))
    assert not message.response
    assert not message.authoritative
    assert not message.truncated


@pytest.mark.parametrize("rcode", range(16))
def test_the_response_code_is_in_the_header(rcode: int) -> None:
    assert read(header(flags=0x8000 | rcode)).rcode == rcode


def test_the_extended_response_code_is_in_the_opt_record() -> None:
    message = header(additional=1, flags=0x8000) + opt(ttl=0x01000000)
    assert read(message).rcode == wire.BADVERS
    message = header(additional=1, flags=0x8003) + opt(ttl=0xFF000000)
    assert read(message).rcode == 0xFF3


@pytest.mark.parametrize("opcode", range(1, 16))
def test_any_opcode_but_query_is_refused(opcode: int) -> None:
    assert refused(header(flags=0x8000 | opcode << 11)) == f"opcode {opcode} is not QUERY"


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_refused(size: int) -> None:
    assert refused(header()[:size]) == "the message ends early"


@pytest.mark.parametrize("section", range(4))
def test_a_count_of_more_records_than_there_are_is_refused(section: int) -> None:
    counts = [0, 0, 0, 0]
    counts[section] = 1
    assert refused(header(*counts)) in ("the message ends early", "a name that reaches too far")


@pytest.mark.parametrize("counts", [(1, 4096, 0, 0), (0, 4097, 0, 0), (0, 0, 4097, 0),
                                    (0, 0, 0, 4097), (1, 1366, 1365, 1365)])  # fmt: skip
def test_more_records_than_are_read_are_refused_before_the_first(counts: tuple[int, ...]) -> None:
    assert refused(header(*counts)) == "more than 4096 records"
    fewer = (counts[0], *(max(count - 1, 0) for count in counts[1:]))
    assert refused(header(*fewer)) in ("the message ends early", "a name that reaches too far")


def test_as_many_labels_as_are_read_and_one_more() -> None:
    longest = b"\x01a" * 127 + b"\0"
    most = header(answers=128) + record(16, b"", owner=longest) * 128
    assert len(read(most).answers) == 128
    more = header(answers=129) + most[12:] + record(16, b"", owner=b"\0")
    assert refused(more) == "names of more than 16384 labels"


def test_bytes_after_the_last_record_are_refused() -> None:
    assert refused(header() + b"\0") == "bytes after the last record"
    whole = header(answers=1) + record(wire.A, bytes(4))
    assert refused(whole + b"\xff") == "bytes after the last record"


def test_several_questions_are_read() -> None:
    asked = NAME + struct.pack("!HH", 33, 1) + pointer(12) + struct.pack("!HH", 255, 3)
    assert read(header(2) + asked).questions == (
        wire.Question(NAME, 33, 1),
        wire.Question(NAME, 255, 3),
    )


# Records.


def test_records_of_each_type_that_matters_are_read() -> None:
    target = name_from_text("mysql-0.db.ns.svc.cluster.local")
    numbers = (1, 2, 3, 4, 5)
    message = read(
        header(answers=4, authority=1, additional=2)
        + record(wire.SRV, struct.pack("!3H", 1, 2, 3306) + target)
        + record(wire.PTR, target, ttl=5)
        + record(wire.CNAME, target)
        + record(16, b"\x03abc")
        + record(wire.SOA, NAME + target + struct.pack("!5I", *numbers), ttl=60)
        + record(wire.A, bytes((10, 0, 0, 1)), owner=target)
        + record(wire.AAAA, bytes(15) + b"\x01", owner=target)
    )
    assert message.answers == [
        wire.Srv(NAME, 30, 1, 2, 3306, target),
        wire.Pointer(NAME, 5, target),
        wire.Alias(NAME, 30, target),
        wire.Opaque(NAME, 30, 16, 1, b"\x03abc"),
    ]
    assert message.authority == [wire.Soa(NAME, 60, NAME, target, *numbers)]
    assert message.additional == [
        wire.Address(target, 30, bytes((10, 0, 0, 1))),
        wire.Address(target, 30, bytes(15) + b"\x01"),
    ]


@pytest.mark.parametrize("rtype", [wire.A, wire.AAAA, wire.SRV, wire.PTR, wire.CNAME, wire.SOA])
@pytest.mark.parametrize("data", [b"", b"\xff\xff"])
def test_records_of_another_class_are_opaque(rtype: int, data: bytes) -> None:
    message = read(header(answers=1) + record(rtype, data, rclass=3))
    assert message.answers == [wire.Opaque(NAME, 30, rtype, 3, data)]


def test_names_are_lower_cased() -> None:
    upper = b"\x07MySQL-0" + NAME
    message = read(
        header(1, 1)
        + NAME.upper()
        + struct.pack("!HH", wire.SRV, 1)
        + record(wire.SRV, struct.pack("!3H", 0, 1, 1) + upper, owner=NAME.swapcase())
    )
    assert message.questions[0].name == NAME
    assert message.answers == [wire.Srv(NAME, 30, 0, 1, 1, b"\x07mysql-0" + NAME)]


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**32 - 1, 0)],
)
def test_a_ttl_with_the_highest_bit_is_none(ttl: int, expected: int) -> None:
    message = read(header(answers=1) + record(wire.A, bytes(4), ttl=ttl))
    assert message.answers[0].ttl == expected


@pytest.mark.parametrize(
    ("rtype", "data", "problem"),
    [
        (wire.A, bytes(3), "an address of the wrong length"),
        (wire.A, bytes(5), "an address of the wrong length"),
        (wire.A, bytes(16), "an address of the wrong length"),
        (wire.AAAA, bytes(4), "an address of the wrong length"),
        (wire.AAAA, b"", "an address of the wrong length"),
        (wire.SRV, b"", "an SRV record that is too short"),
        (wire.SRV, bytes(5), "an SRV record that is too short"),
        (wire.SRV, bytes(6), "a name that reaches too far"),
        (wire.SRV, bytes(6) + b"\x01a", "a name that reaches too far"),
        (wire.SRV, bytes(6) + b"\x05a\0", "a label that reaches too far"),
        (wire.SRV, bytes(6) + NAME + b"\0", "an SRV record of the wrong length"),
        (wire.PTR, b"", "a name that reaches too far"),
        (wire.PTR, NAME + b"\0", "a PTR record of the wrong length"),
        (wire.CNAME, NAME + b"\0", "a CNAME record of the wrong length"),
        (wire.SOA, NAME, "a name that reaches too far"),
        (wire.SOA, NAME + NAME + bytes(19), "an SOA record of the wrong length"),
        (wire.SOA, NAME + NAME + bytes(21), "an SOA record of the wrong length"),
    ],
)
def test_data_that_breaks_its_type_is_refused(rtype: int, data: bytes, problem: str) -> None:
    # The record after it shows that nothing is read beyond the record's own end.
    message = header(answers=2) + record(rtype, data) + record(wire.A, bytes(4))
    assert refused(message) == problem


def test_the_fast_way_reads_no_name_beyond_its_record() -> None:
    """The question's name goes on after the record's end, where the next record begins."""
    asked = NAME + struct.pack("!HH", wire.PTR, 1)
    short = record(wire.PTR, NAME[:-1]) + b"\0" + struct.pack("!HHIH", 1, 1, 1, 4) + bytes(4)
    assert refused(header(1, 2) + asked + short) == "a name that reaches too far"
    # The same with a label before it.
    short = record(wire.PTR, b"\x01a" + NAME[:-1]) + b"\0" + struct.pack("!HHIH", 1, 1, 1, 4)
    assert refused(header(1, 2) + asked + short + bytes(4)) == "a name that reaches too far"


def test_the_root_before_the_questions_name_stays_the_root() -> None:
    asked = NAME + struct.pack("!HH", wire.A, 1)
    answer = record(wire.A, bytes(4), owner=ROOT)
    assert read(header(1, 1) + asked + answer).answers == [wire.Address(ROOT, 30, bytes(4))]
    # Here the bytes after the root happen to spell the question's name.
    tricky = ROOT + struct.pack("!HHIH", 0x0264, 0x6200, 30, 0)
    asked = b"\x02db\0" + struct.pack("!HH", wire.A, 1)
    assert read(header(1, 1) + asked + tricky).answers == [
        wire.Opaque(ROOT, 30, 0x0264, 0x6200, b"")
    ]


def test_a_record_that_reaches_past_the_end_is_refused() -> None:
    whole = header(answers=1) + record(16, b"abc")
    assert refused(whole[:-1]) == "a record reaches past the end"


@pytest.mark.parametrize("exchange", exchanges("dual-stack")[:1], ids=str)
def test_an_answer_cut_anywhere_is_refused(exchange: Exchange) -> None:
    read(exchange.answer)
    for size in range(len(exchange.answer)):
        assert refused(exchange.answer[:size])


def test_a_signature_is_refused_since_none_was_asked_for() -> None:
    signed = header(additional=1) + record(wire.TSIG, b"", owner=ROOT, rclass=255)
    assert refused(signed) == "an unexpected signature (TSIG)"


# Compression.


def test_pointers_are_followed() -> None:
    # "b" + "db.ns..." from the question, a chain of two, and a pointer into the middle of a name.
    message = (
        header(1, 3)
        + NAME  # at 12
        + struct.pack("!HH", wire.SRV, 1)
        + record(wire.A, bytes(4), owner=b"\x01b" + pointer(12))
        + record(wire.A, bytes(4), owner=pointer(12 + len(NAME) + 4))
        + record(wire.A, bytes(4), owner=pointer(15))
    )
    assert [answer.owner for answer in read(message).answers] == [
        b"\x01b" + NAME,
        b"\x01b" + NAME,
        NAME[3:],
    ]


@pytest.mark.parametrize("before", [0, 200, 250, 256, 300, 600, 4000, 16300])
def test_pointers_lead_anywhere_in_a_message(before: int) -> None:
    message = header(answers=3) + record(16, bytes(before), owner=b"\0")
    at = len(message)
    message += record(16, b"", owner=NAME) + record(16, b"", owner=b"\x01b" + pointer(at))
    assert [one.owner for one in read(message).answers] == [b"\0", NAME, b"\x01b" + NAME]


def chain(length: int) -> bytes:
    """A message whose last owner takes so many pointers, one to the next."""
    message = record(16, b"", owner=b"\x01z\0")
    at = 12
    for _ in range(length):
        message += record(16, b"", owner=b"\x01y" + pointer(at))
        at = 12 + len(message) - 10 - 4
    return header(answers=length + 1) + message


def test_sixteen_pointers_in_a_row_are_followed_and_seventeen_are_not() -> None:
    assert read(chain(16)).answers[-1].owner == b"\x01y" * 16 + b"\x01z\0"
    assert refused(chain(17)) == "a pointer that does not lead back"


@pytest.mark.parametrize("offset", [12, 13, 14, 20, 0x3FFF])
def test_a_pointer_to_itself_or_forward_is_refused(offset: int) -> None:
    message = header(answers=2) + record(16, b"", owner=pointer(offset))
    assert refused(message + record(16, b"")) == "a pointer that does not lead back"


def test_a_pointer_into_its_own_name_is_refused() -> None:
    message = header(answers=1) + record(16, b"", owner=b"\x01a\x01b" + pointer(14))
    assert refused(message) == "a pointer that does not lead back"


def test_two_pointers_that_lead_to_each_other_are_refused() -> None:
    data = 12 + 11  # where the first record's data begins; the second record comes after it
    message = header(answers=2) + record(16, pointer(data + 2), owner=ROOT)
    message += record(16, b"", owner=pointer(data))
    assert refused(message) == "a pointer that does not lead back"


def test_a_name_that_runs_into_the_pointer_that_leads_to_it_is_refused() -> None:
    """What a pointer leads to must be over before the name with the pointer begins."""
    message = header(answers=2) + record(16, b"\x01x", owner=ROOT)
    start = 12 + 11  # of the data "\x01x", after which the second owner begins
    message += record(16, b"", owner=b"\x01a" + pointer(start))
    assert refused(message) in ("a name that reaches too far", "a label that reaches too far")


def test_a_name_that_is_known_may_not_reach_into_what_leads_to_it() -> None:
    """The question's label holds, byte for byte, a label and a pointer back to the question."""
    asked = b"\x04\x01a" + pointer(12) + b"\0" + bytes(4)
    message = header(1, 1) + asked + record(16, b"", owner=pointer(13))
    assert refused(message) == "a label that reaches too far"
    assert read(header(1, 1) + asked + record(16, b"", owner=pointer(12))).answers


def test_a_pointer_into_the_header_is_followed_as_dnspython_does() -> None:
    message = header(answers=1, query_id=0) + record(16, b"", owner=pointer(0))
    assert read(message).answers[0].owner == ROOT


@pytest.mark.parametrize("first", [0x40, 0x7F, 0x80, 0xBF])
def test_other_kinds_of_labels_are_refused(first: int) -> None:
    message = header(answers=1) + record(16, b"", owner=bytes((first,)) + bytes(200))
    assert refused(message) == "an unknown kind of label"


def test_a_pointer_that_is_cut_is_refused() -> None:
    assert refused(header(1) + b"\x01a\xc0") == "a truncated pointer"
    message = header(answers=2) + record(wire.PTR, b"\x01a\xc0") + record(wire.A, bytes(4))
    assert refused(message) == "a truncated pointer"


def test_a_name_of_255_bytes_is_read_and_a_longer_one_is_refused() -> None:
    longest = name_from_text(".".join(["a" * 63] * 3 + ["a" * 61]))
    assert read(header(1) + longest + bytes(4)).questions[0].name == longest
    longer = (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0"
    assert refused(header(1) + longer + bytes(4)) == "a name of more than 255 bytes"


def test_the_length_of_a_name_counts_what_its_pointer_leads_to() -> None:
    tail = (b"\x3f" + b"a" * 63) * 2 + b"\x3c" + b"a" * 60 + b"\0"
    asked = header(1, 1) + tail + bytes(4)
    front = b"\x3f" + b"b" * 63
    assert len(front + tail) == 254
    assert read(asked + record(16, b"", owner=front + pointer(12))).answers[0].owner == front + tail
    front = b"\x01c" + front
    message = asked + record(16, b"", owner=front + pointer(12))
    assert refused(message) == "a name of more than 255 bytes"


def test_the_length_counts_on_the_fast_way_too() -> None:
    """One label before the question's own name, spelled out."""
    asked = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    message = header(1, 1) + asked + bytes(4) + record(16, b"", owner=b"\x01b" + asked)
    assert refused(message) == "a name of more than 255 bytes"


# EDNS.


def test_the_opt_record_gives_the_payload_and_is_not_among_the_additional_ones() -> None:
    message = read(header(additional=2) + record(wire.A, bytes(4)) + opt(payload=4096))
    assert message.edns_payload == 4096
    assert message.additional == [wire.Address(NAME, 30, bytes(4))]


def test_edns_options_are_passed_over() -> None:
    cookie = struct.pack("!HH", 10, 8) + bytes(8)
    keepalive = struct.pack("!HH", 11, 0)
    assert read(header(additional=1) + opt(cookie + keepalive)).edns_payload == 1232


def test_as_many_edns_options_as_are_read_and_one_more() -> None:
    empty = struct.pack("!HH", 10, 0)
    assert read(header(additional=1) + opt(empty * 256)).edns_payload == 1232
    assert refused(header(additional=1) + opt(empty * 257)) == "more than 256 EDNS options"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (b"\0", "an EDNS option that is too short"),
        (bytes(3), "an EDNS option that is too short"),
        (struct.pack("!HH", 10, 1), "an EDNS option that reaches past its record"),
        (struct.pack("!HH", 10, 9) + bytes(8), "an EDNS option that reaches past its record"),
        (struct.pack("!HH", 10, 0) + b"\0", "an EDNS option that is too short"),
    ],
)
def test_edns_options_that_do_not_fill_their_record_are_refused(
    options: bytes, problem: str
) -> None:
    message = header(additional=2) + opt(options) + record(wire.A, bytes(4))
    assert refused(message) == problem


@pytest.mark.parametrize(
    "message",
    [
        header(answers=1) + opt(),
        header(authority=1) + opt(),
        header(additional=2) + opt() + opt(),
        header(additional=1) + opt(owner=NAME),
    ],
    ids=["in the answers", "in the authority section", "twice", "not the root's"],
)
def test_a_misplaced_opt_record_is_refused(message: bytes) -> None:
    assert refused(message) == "a misplaced OPT record"


# Negative answers.


@pytest.mark.parametrize(("ttl", "minimum", "expected"), [(30, 5, 5), (5, 30, 5), (0, 60, 0)])
def test_an_absence_may_be_held_for_the_smaller_of_ttl_and_minimum(
    ttl: int, minimum: int, expected: int
) -> None:
    soa = record(wire.SOA, ROOT + ROOT + struct.pack("!5I", 1, 2, 3, 4, minimum), ttl=ttl)
    assert read(header(authority=1, flags=0x8403) + soa).negative_ttl == expected


def test_an_absence_without_an_soa_has_no_time() -> None:
    assert read(header(flags=0x8403)).negative_ttl is None
    ns = record(2, NAME)
    assert read(header(authority=1, flags=0x8403) + ns).negative_ttl is None


@pytest.mark.parametrize("scenario", ["scaled-to-zero", "all-not-ready", "no-ports"])
def test_recorded_absences_have_a_time(scenario: str) -> None:
    absences = [read(e.answer) for e in exchanges(scenario)]
    times = {absence.negative_ttl for absence in absences if not absence.answers}
    assert times
    assert all(isinstance(time, int) and 0 <= time <= 30 for time in times)


def test_a_refusal_says_where() -> None:
    error = MalformedMessage("a truncated pointer", 14)
    assert str(error) == "a truncated pointer at byte 14"
    assert isinstance(error, ValueError)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        read(message)


@given(st.binary(max_size=120))
def test_any_bytes_after_a_good_header_are_read_or_refused(rest: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        read(header(1, 2, 1, 1) + rest)


@pytest.mark.parametrize("size", [0, 5, 11])
def test_a_question_without_a_whole_header_is_malformed(size: int) -> None:
    message = query(1, name_from_text("db.prod.svc.cluster.local"), wire.SRV)
    with pytest.raises(MalformedMessage, match="ends early") as caught:
        wire.question_of(message[:size])
    assert caught.value.offset == size


@pytest.mark.parametrize("size", [12, 20, 38, 41])
def test_a_question_that_is_cut_off_is_malformed(size: int) -> None:
    message = query(1, name_from_text("db.prod.svc.cluster.local"), wire.SRV)
    with pytest.raises(MalformedMessage):
        wire.question_of(message[:size])


@pytest.mark.parametrize("count", [2, 3, 65535])
def test_several_questions_of_a_reply_are_malformed(count: int) -> None:
    with pytest.raises(MalformedMessage) as caught:
        wire.question_of(header(count) + (NAME + struct.pack("!HH", 33, 1)) * 2)
    assert (caught.value.problem, caught.value.offset) == (f"{count} questions", 4)
