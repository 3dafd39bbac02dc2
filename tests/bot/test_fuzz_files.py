"""What operators write, manifests and settings: it is used whole, or every fault is said."""

import copy
import os
import re

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot import settings as product
from bot.settings import BadSettingsError, Settings
from bot.usecases.take_in import take_in
from manifests import BadManifestsError, load
from storage.secrets import new_key
from tests.support.door import COMPANY
from tests.support.scenes import nasty

FILES = ["people.yaml", "company.yaml", "integrations.yaml", "flows.yaml"]
TREES = {name: yaml.safe_load((COMPANY / name).read_text("utf-8")) for name in FILES}
TREES["people.yaml"]["people"] = TREES["people.yaml"]["people"][:12]  # whoever is named elsewhere
BYTES = {name: yaml.safe_dump(tree, allow_unicode=True).encode() for name, tree in TREES.items()}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
quick = settings(suppress_health_check=SLOW)

WORDS = "off no null ~ 2026-02-30 2026-11-25 1e400 0x7fffffffffffffff .inf .nan 1:60 12:30:45 -1h"
MORE = ["٣ h", "365 d", "366 d", "5m", "group", "user", "x" * 90, "ines@harbourpine.example"]
odd = st.sampled_from(WORDS.split() + MORE)
leaves = st.one_of(
    odd,
    nasty(300),
    st.none(),
    st.booleans(),
    st.integers() | st.sampled_from([0, -1, 2**31, 2**63, 10**40]),
    st.floats(),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=8),
)
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(nasty(20), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """Draw the document with some of its values and keys changed, gone, or there twice."""
    tree = copy.deepcopy(TREES[name])
    for _ in range(draw(st.integers(1, 3))):
        at = tree
        while isinstance(at, dict | list) and at:
            key = draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
            if not isinstance(at[key], dict | list) or draw(st.integers(0, 4)) == 0:
                _spoil(draw, at, key)
                break
            at = at[key]
    return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")


def _spoil(draw, at, key):
    match draw(st.sampled_from(["value", "value", "gone", "key", "twice"])):
        case "value":
            at[key] = draw(junk)
        case "gone":
            del at[key]
        case "key" if isinstance(at, dict):
            at[draw(nasty(20) | odd)] = at.pop(key)
        case _ if isinstance(at, list):
            at.append(at[key])


@st.composite
def spoilt(draw: st.DrawFn, name: str) -> bytes:
    """Draw the file with bytes put in, taken out, or repeated."""
    text = BYTES[name]
    cut, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    bits = st.sampled_from(
        [b"\t", b"\xff", b"\xef\xbb\xbf", b"\x00", b"&a ", b"*a", b"<<: ", b"---\n"]
    )
    middle = draw(st.one_of(bits, st.just(b""), st.just(text[cut:end] * 2), st.binary(max_size=9)))
    return text[:cut] + middle + text[end if draw(st.booleans()) else cut :]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("company")
    for name in FILES:
        (made / name).write_bytes(BYTES[name])
    return made


@quick
@given(data=st.data())
def test_a_company_is_taken_in_whole_or_every_fault_is_said(door, folder, data):
    """What is read without a fault can be stored, on either database."""
    name = data.draw(st.sampled_from(FILES))
    content = data.draw(mutated(name) | spoilt(name))
    (folder / name).write_bytes(content)
    try:
        listed = load(folder)
    except BadManifestsError as error:
        _says_what_is_wrong(*(fault.sentence for fault in error.faults))
    else:
        take_in(door.services, listed)
        assert not door.audit_faults()
        door.put_back()
    finally:
        (folder / name).write_bytes(BYTES[name])


GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "LATCHKEY_KEYS": new_key(),
    "LATCHKEY_MANIFESTS": str(COMPANY),
}
NAMES = [str(field.alias) for field in Settings.model_fields.values()]
ADDRESSES = "http://[ http://:x/ sqlite:// postgresql://h:x/d :// h:99999 [::1]:8080 : :٣ mysql://x"
PLACES = ["x:" + "9" * 5000, "/", "/etc/passwd", "/" + "x" * 300, "~nobody/x", "\ud800"]
values = st.one_of(nasty(300), odd, st.sampled_from(ADDRESSES.split() + PLACES))


@quick
@example(given_={"LATCHKEY_MANIFESTS": "\ud800"})  # half a character: pydantic died of it
@given(given_=st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=4))
def test_settings_are_usable_or_every_fault_names_its_setting(monkeypatch, tmp_path, given_):
    monkeypatch.chdir(tmp_path)
    try:
        read = product.load(**GOOD | given_)
    except BadSettingsError as fault:
        _says_what_is_wrong(str(fault))
    else:
        _use(read)


@quick
@given(content=st.one_of(st.binary(), nasty(300).map(lambda t: t.encode("utf-8", "replace"))))
def test_a_settings_file_is_usable_or_its_fault_is_said(monkeypatch, tmp_path, content):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    lines = "\n".join(f"{name}={value}" for name, value in GOOD.items()).encode()
    (tmp_path / ".env").write_bytes(lines + b"\nLATCHKEY_INSTALLATION=" + content + b"\n")
    try:
        read = product.load()
    except BadSettingsError as fault:
        _says_what_is_wrong(str(fault))
    else:
        _use(read)
    assert os.environ.get("SLACK_BOT_TOKEN") is None


def _says_what_is_wrong(*sentences):
    assert sentences
    for sentence in sentences:
        assert len(sentence) > 10
        assert not re.search("[a-z]Error|Errno|Traceback", sentence)
        sentence.encode()


def _use(read):
    """See that what was let in is what the program can begin with."""
    assert read.listen is None or read.listen[1] < 65536
    assert read.key_ring
    assert "xoxb-1" not in repr(read)
