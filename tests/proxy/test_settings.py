"""Tests of proxy.settings."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from proxy.errors import SettingsError
from proxy.settings import Address, Settings, load_settings, origin_of, parse_settings
from proxy.yamlfile import FileError

MINIMAL = "inbond: 1\norganisation: Acme\n"


class Teacher(BaseModel):
    """A registry entry, as far as these tests go."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(description="the entry's id")


def read(text: str, environ: dict[str, str] | None = None) -> Settings:
    """The settings of a text in the workspace `/w`."""
    return parse_settings(text, Path("/w"), environ or {})


def errors_of(text: str, environ: dict[str, str] | None = None) -> list[FileError]:
    """All errors of a text, first to last; none where it gives settings."""
    try:
        parse_settings(text, Path("/w"), environ or {}, Teacher)
    except FileError as error:
        return [error, *error.also]
    return []


def test_what_is_not_said_has_its_default() -> None:
    """A file that says who runs the installation is enough."""
    settings = read(MINIMAL)
    assert settings.origin == "inbond/acme"
    assert settings.listen == Address(host="127.0.0.1", port=8484)
    assert settings.console == Address(host="127.0.0.1", port=8485)
    assert (settings.workers, settings.database) == (1, "sqlite:///inbond.db")
    assert (settings.unlisted, settings.delivery, settings.keep_wire) == (
        "inspect",
        "stream",
        False,
    )
    assert (settings.upstream.ca, settings.upstream.timeout_s) == (None, 600.0)
    assert settings.limits.request_bytes == 33_554_432
    assert settings.limits.unannounced_bytes == 4_194_304
    assert settings.limits.answer_bytes == 67_108_864
    assert settings.limits.queue == 4096
    assert (settings.drain_s, settings.checkpoint_every_s) == (30.0, 600.0)
    assert settings.teachers == ()
    assert settings.custody == {}


def test_paths_lie_in_the_workspace() -> None:
    """Every path is absolute and inside the workspace, unless the file names another."""
    settings = read(MINIMAL + "upstream: {ca: extra/ca.pem}\n")
    paths = [
        settings.keys_directory,
        settings.run_directory,
        settings.datasets_directory,
        settings.students_directory,
        settings.policies_directory,
        settings.lock_path,
        settings.last_checkpoint_path,
        settings.upstream_ca,
    ]
    assert all(path is not None and path.is_relative_to("/w") for path in paths)
    assert read(MINIMAL).upstream_ca is None
    assert read(MINIMAL + "upstream: {ca: /etc/ca.pem}\n").upstream_ca == Path("/etc/ca.pem")


def test_a_body_without_a_length_has_a_limit_of_its_own() -> None:
    """It is never above that of all bodies: it follows that one down, and may not be set higher."""
    both = read(MINIMAL + "limits: {request_bytes: 500, unannounced_bytes: 400}\n").limits
    low = read(MINIMAL + "limits: {request_bytes: 500}\n").limits
    high = read(MINIMAL + "limits: {request_bytes: 50000000}\n").limits
    assert [each.unannounced_bytes for each in (both, low, high)] == [400, 500, 4_194_304]
    for limits in ("{request_bytes: 500, unannounced_bytes: 501}", "{unannounced_bytes: 40000000}"):
        (error,) = errors_of(MINIMAL + f"limits: {limits}\n")
        assert "`unannounced_bytes` is larger than `request_bytes`" in error.message
        assert "raise `request_bytes`" in error.help


def test_settings_cannot_change() -> None:
    """Settings are handed down and never changed."""
    with pytest.raises(ValueError, match="frozen"):
        read(MINIMAL).workers = 2  # type: ignore[misc]  # that it fails is the claim


def test_the_environment_replaces_the_file() -> None:
    """Each key comes from the environment too, nested ones with `__`, lists and maps as YAML."""
    environ = {
        "INBOND_ORGANISATION": "007",
        "INBOND_WORKERS": "3",
        "INBOND_LISTEN": "[::1]:0",
        "INBOND_LIMITS__QUEUE": "7",
        "INBOND_UPSTREAM__CA": "ca.pem",
        "INBOND_TEACHERS": "[{id: mine}]",
        "INBOND_CUSTODY": "{openai: {account: main, env: OPENAI_API_KEY}}",
        "INBOND_KEEP_WIRE": "true",
    }
    settings = read("inbond: 1\norganisation: Acme\nlimits: {request_bytes: 9}\n", environ)
    assert (settings.organisation, settings.workers) == ("007", 3)
    assert str(settings.listen) == "[::1]:0"
    assert (settings.limits.queue, settings.limits.request_bytes) == (7, 9)
    assert settings.upstream.ca == "ca.pem"
    assert settings.teachers == ({"id": "mine"},)
    assert settings.custody["openai"].env == "OPENAI_API_KEY"
    assert settings.keep_wire


def test_other_variables_are_left_alone() -> None:
    """Variables that name no setting, such as those a platform injects, do not matter."""
    environ = {"INBOND_SERVICE_HOST": "x", "INBOND_KEY": "ib_x", "INBOND_WORKSPACE": "/", "A": "b"}
    assert read(MINIMAL, environ) == read(MINIMAL)


def test_a_mistyped_variable_is_refused() -> None:
    """A variable that nearly names a setting is a mistake, not a foreign one."""
    with pytest.raises(SettingsError) as caught:
        read(MINIMAL, {"INBOND_WORKRES": "2"})
    assert caught.value.help == "did you mean `INBOND_WORKERS`?"


def test_an_error_from_the_environment_names_the_variable() -> None:
    """What a variable says wrong is reported at the variable, without an excerpt of the file."""
    (error,) = errors_of(MINIMAL, {"INBOND_WORKERS": "many"})
    assert (error.where, error.excerpt) == ("INBOND_WORKERS", "")
    assert error.message == "`workers` must be a whole number, not `many`"


GOLDEN = [
    ("inbond: 2\norganisation: A\n", "`inbond` must be 1, not `2`", "inbond.yaml:1:9"),
    ("organisation: A\n", "`inbond` is missing", "inbond.yaml:1:1"),
    (MINIMAL + "workres: 2\n", "unknown key `workres`", "inbond.yaml:3:1"),
    (MINIMAL + "directory: /x\n", "unknown key `directory`", "inbond.yaml:3:1"),
    (
        MINIMAL + "upstream:\n  caa: x\n",
        "unknown key `caa` in `upstream`",
        "inbond.yaml:4:3",
    ),
    (MINIMAL + "workers: 0\n", "`workers` must be at least 1, not `0`", "inbond.yaml:3:10"),
    (MINIMAL + "workers: 999\n", "`workers` must be at most 256, not `999`", "inbond.yaml:3:10"),
    (MINIMAL + "drain_s: .inf\n", "`drain_s` must be a number, not `.inf`", "inbond.yaml:3:10"),
    (MINIMAL + "checkpoint_every_s: 0\n", "`checkpoint_every_s` must be above 0, not `0`", "inbond.yaml:3:21"),
    (MINIMAL + "keep_wire: yes\n", "`keep_wire` must be true or false, not `yes`", "inbond.yaml:3:12"),
    (MINIMAL + "upstream: 3\n", "`upstream` must be a mapping", "inbond.yaml:3:11"),
    (MINIMAL + "teachers: 3\n", "`teachers` must be a list, not `3`", "inbond.yaml:3:11"),
    (MINIMAL + "unlisted: open\n", "`unlisted` must be `inspect`, `tunnel` or `refuse`, not `open`", "inbond.yaml:3:11"),
    (MINIMAL + "unlisted_hosts: {tunnel: ['a/b']}\n", "`unlisted_hosts.tunnel[0]` cannot be `a/b`", "inbond.yaml:3:27"),
    (MINIMAL + "unlisted_hosts: {private: ['a*']}\n", "`unlisted_hosts.private[0]` cannot be `a*`", "inbond.yaml:3:28"),
    (MINIMAL + "delivery: later\n", "`delivery` must be `stream` or `buffer`, not `later`", "inbond.yaml:3:11"),
    (MINIMAL + "deliveries: {x: 1}\n", "`deliveries.x` must be `stream` or `buffer`, not `1`", "inbond.yaml:3:17"),
    (MINIMAL + "origin: a b\n", "`origin`: `a b` is not a name for a ledger", "inbond.yaml:3:9"),
    (MINIMAL + "listen: 8484\n", "`listen`: `8484` is not an address", "inbond.yaml:3:9"),
    (MINIMAL + "listen: localhost:99999\n", "`listen`: `localhost:99999` is not an address", "inbond.yaml:3:9"),
    ("inbond: 1\norganisation: ''\n", "`organisation` must not be empty", "inbond.yaml:2:15"),
    (MINIMAL + "teachers: [{}]\n", "`teachers[0].id` is missing", "inbond.yaml:3:12"),
    (MINIMAL + "teachers: [{id: a, host: b}]\n", "unknown key `host` in `teachers[0]`", "inbond.yaml:3:20"),
    (MINIMAL + "teachers: [{id: 1}]\n", "`teachers[0].id` must be text, not `1`", "inbond.yaml:3:17"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "where"), GOLDEN)
def test_each_mistake_says_what_and_where(text: str, message: str, where: str) -> None:
    """A mistake is one line that says what is wrong, at its line and column, with a fix."""
    (error,) = errors_of(text)
    assert (error.message, error.where) == (message, where)
    assert error.help


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_any_loopback_address_will_do(host: str) -> None:
    """Every name of this machine's own loopback is an address to listen on."""
    settings = read(f"{MINIMAL}listen: '{host}:0'\ndelivery: stream\nunlisted: refuse\n")
    assert str(settings.listen) == f"{host}:0"


@pytest.mark.parametrize("address", ["0.0.0.0:1", "10.1.2.3:8484", "[::]:1", "example.org:80"])
def test_nothing_binds_beyond_loopback(address: str) -> None:
    """An address that others could reach is refused, for the proxy and for the console."""
    for key in ("listen", "console"):
        (error,) = errors_of(f"{MINIMAL}{key}: '{address}'\n")
        assert error.code == "beyond-loopback"


def test_a_suggestion_is_made() -> None:
    """An unknown key is answered with the nearest one, else with those there are."""
    (near,) = errors_of(MINIMAL + "workres: 2\n")
    (far,) = errors_of(MINIMAL + "limits: {zzz: 2}\n")
    assert near.help == "did you mean `workers`?"
    assert (
        far.help
        == "the keys here are `answer_bytes`, `queue`, `request_bytes`, `unannounced_bytes`"
    )


def test_all_mistakes_are_found_at_once() -> None:
    """One reading reports every mistake, in the order of the file."""
    found = errors_of("inbond: 1\norganisation: A\nworkers: 0\nteachers: [3]\nlimits: {queue: x}\n")
    assert [error.where for error in found] == [
        "inbond.yaml:3:10",
        "inbond.yaml:4:12",
        "inbond.yaml:5:17",
    ]


@pytest.mark.parametrize(
    "custody",
    [
        "openai: {account: main, key: canary-11}",
        "openai: {account: main, canary-11: true}",
        "openai: {account: main, env: canary-11}",
        "openai: {account: main, file: canary-11}",
        "openai: {account: main, env: [canary-11]}",
        "openai: canary-11",
        "[canary-11]",
        "openai: {account: main}",
        "openai: {account: main, env: A, file: canary/11}",
    ],
)
def test_a_key_pasted_into_custody_is_not_shown(custody: str) -> None:
    """Where people paste a key instead of its name, the refusal does not repeat it."""
    for error in errors_of(
        f"{MINIMAL}custody: {{{custody}}}\n" if ":" in custody else f"{MINIMAL}custody: {custody}\n"
    ):
        shown = f"{error.message} {error.help} {error.excerpt} {error.where}"
        assert "canary" not in shown


def test_a_password_of_the_database_is_not_shown() -> None:
    """The address of a database is neither repeated in a refusal nor shown with the settings."""
    (error,) = errors_of(MINIMAL + "database: mysql://u:canary@h/d\n")
    assert "canary" not in f"{error.message} {error.help} {error.excerpt}"
    assert "canary" not in repr(read(MINIMAL + "database: postgresql+psycopg://u:canary@h/d\n"))


def test_no_workspace_is_said(tmp_path: Path) -> None:
    """A directory without settings is no workspace, and the way to make one is offered."""
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {})
    assert caught.value.code == "no-workspace"
    assert "inbond init" in caught.value.help


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A file that cannot be read, or is not UTF-8, is refused with its place."""
    (tmp_path / "inbond.yaml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read: is a directory"):
        load_settings(tmp_path, {})
    (tmp_path / "inbond.yaml").rmdir()
    (tmp_path / "inbond.yaml").write_bytes(b"inbond: 1\na: \xff\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {})
    assert (caught.value.message, caught.value.where) == (
        "byte 13 is not UTF-8",
        "inbond.yaml:2:4",
    )


def test_the_workspace_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace named by a relative path is still there after a change of directory."""
    (tmp_path / "inbond.yaml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path(), {}).directory == tmp_path


@given(st.text(max_size=40))
def test_every_organisation_has_an_origin(name: str) -> None:
    """A ledger's name is made of any organisation's, without blanks and `+`."""
    origin = origin_of(name)
    assert origin.startswith("inbond/")
    assert len(origin) > len("inbond/")
    assert not set(origin) & set(" +\n\t")


KEYS = st.sampled_from(["inbond", "organisation", "listen", "limits", "custody", "teachers", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.text("ab:1/{} ", max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_anything_gives_settings_or_an_error(values: dict[str, object]) -> None:
    """Whatever a file says, it gives settings or errors of ours, each with a fix."""
    assert all(each.help and each.where for each in errors_of(json.dumps(values)))
