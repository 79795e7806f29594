"""Bootstrap settings: flags before environment before file before defaults."""

from pathlib import Path
from typing import Any

import pytest

from openstreamer.config.addresses import Address, parse_address
from openstreamer.config.base import parse
from openstreamer.config.models import GlobalConfig
from openstreamer.config.settings import load_settings, unknown_variables
from openstreamer.media.errors import ConfigError


def _file(directory: Path, text: str) -> Path:
    path = directory / "settings.yaml"
    path.write_text(text)
    return path


def test_nothing_said_gives_the_documented_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={})
    assert settings.data_dir == Path("data")
    assert settings.store_location == "data/openstreamer.db"
    assert settings.http_address(GlobalConfig()) == Address("0.0.0.0", 8080)
    assert settings.rtmp_address(GlobalConfig()) == Address("0.0.0.0", 1935)
    assert settings.demo


def test_the_stronger_place_wins(tmp_path: Path) -> None:
    file = _file(tmp_path, "http: ':1'\nrtmp: ':2'\ndata_dir: /file\nlog_level: debug\n")
    environ = {"OPENSTREAMER_HTTP": ":3", "OPENSTREAMER_DATA_DIR": "/environment", "OTHER": "x"}
    settings = load_settings(config_file=file, environ=environ, http=":5")
    assert settings.http == Address("0.0.0.0", 5)
    assert settings.rtmp == Address("0.0.0.0", 2)
    assert settings.data_dir == Path("/environment")
    assert settings.log_level == "debug"


def test_config_yaml_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("data_dir: /srv/os\n")
    assert load_settings(environ={}).data_dir == Path("/srv/os")
    assert load_settings(environ={}).config_file == Path("config.yaml")


def test_the_bound_of_all_media_is_a_number_of_bytes_above_zero() -> None:
    variable = "OPENSTREAMER_MEDIA_MEMORY_MAX_BYTES"
    assert load_settings(environ={}).media_memory_max_bytes is None
    assert load_settings(environ={variable: "1073741824"}).media_memory_max_bytes == 1 << 30
    with pytest.raises(ConfigError, match="media_memory_max_bytes"):
        load_settings(environ={variable: "0"})


@pytest.mark.parametrize("name", ["http_connections", "http_connections_per_address"])
def test_the_most_connections_are_a_number_above_zero(name: str, tmp_path: Path) -> None:
    variable = f"OPENSTREAMER_{name.upper()}"
    assert getattr(load_settings(environ={}), name) is None
    assert getattr(load_settings(environ={variable: "100"}), name) == 100
    option: dict[str, Any] = {name: 7}
    assert getattr(load_settings(environ={variable: "100"}, **option), name) == 7
    assert getattr(load_settings(environ={}, config_file=_file(tmp_path, f"{name}: 20000\n")), name) == 20_000
    for wrong in ("0", "-1", "many", "1000001"):
        with pytest.raises(ConfigError, match=f"the environment: {name}"):
            load_settings(environ={variable: wrong})


def test_files_may_be_read_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    roots = {"vod": Path("/srv/vod"), "ads": tmp_path / "ads"}
    file = _file(tmp_path, "file_roots: {vod: /srv/vod, ads: ads}\n")
    assert load_settings(environ={}).file_roots == {}
    assert load_settings(environ={}, config_file=file).file_roots == roots
    variable = {"OPENSTREAMER_FILE_ROOTS": "vod=/srv/vod, ads=ads"}
    assert load_settings(environ=variable).file_roots == roots
    assert load_settings(environ=variable, file_roots=["tv=/a=b"]).file_roots == {"tv": Path("/a=b")}


@pytest.mark.parametrize("text", ["/srv/vod", "a b=/srv", "vod=", "vod=/a,vod=/b", "=/srv"])
def test_a_root_is_a_name_and_a_directory(text: str) -> None:
    with pytest.raises(ConfigError, match="file_roots"):
        load_settings(environ={"OPENSTREAMER_FILE_ROOTS": text})


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, "log_format: json\n")
    assert load_settings(environ={"OPENSTREAMER_CONFIG": str(file)}).log_format == "json"


def test_an_empty_file_and_empty_variables_say_nothing(tmp_path: Path) -> None:
    settings = load_settings(config_file=_file(tmp_path, ""), environ={"OPENSTREAMER_HTTP": ""})
    assert settings.http is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("storage:\n  driver: json\n", "storage: is not a known field"),
        ("- a\n", "must map names"),
        ("a: [", "is not YAML"),
        ("http: 8080\n", "http: must be a string"),
        ("http: nowhere\n", "is not HOST:PORT"),
        ("log_level: loud\n", "log_level: must be"),
    ],
)
def test_a_mistake_in_the_file_names_file_and_field(tmp_path: Path, text: str, reason: str) -> None:
    file = _file(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_settings(config_file=file, environ={})
    assert str(file) in str(refused.value)
    assert reason in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(config_file=tmp_path / "none.yaml", environ={})


def test_a_mistyped_option_is_reported_before_a_mistake_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--http") as refused:
        load_settings(config_file=tmp_path / "none.yaml", environ={}, http="8080")
    assert refused.value.code == "INVALID_OPTION"


def test_the_stored_configuration_decides_where_the_start_says_nothing() -> None:
    stored = parse(
        GlobalConfig,
        {"server": {"http_addr": ":9000"}, "listeners": {"rtmp": {"enabled": False, "port": 5}}},
    )
    assert load_settings(environ={}).http_address(stored) == Address("0.0.0.0", 9000)
    assert load_settings(environ={}).rtmp_address(stored) is None
    assert load_settings(environ={}, rtmp=":7").rtmp_address(stored) == Address("0.0.0.0", 7)


def test_rtmps_has_a_port_of_its_own_once_there_is_a_certificate() -> None:
    tls = {"server": {"tls": {"cert": "/c.pem", "key": "/k.pem"}}}
    stored = parse(GlobalConfig, tls)
    usual = load_settings(environ={})
    assert usual.rtmps_address(GlobalConfig()) is None
    assert usual.rtmps_address(stored) == Address("0.0.0.0", 1936)
    assert (
        usual.rtmps_address(parse(GlobalConfig, {**tls, "listeners": {"rtmp": {"enabled": False}}})) is None
    )
    free = load_settings(environ={}, rtmp="127.0.0.1:0")
    assert free.rtmps_address(stored) == Address("127.0.0.1", 0)
    named = parse(GlobalConfig, {**tls, "listeners": {"rtmp": {"tls_port": 1999}}})
    assert free.rtmps_address(named) == Address("127.0.0.1", 1999)


def test_a_database_url_replaces_the_file() -> None:
    settings = load_settings(environ={"OPENSTREAMER_DATABASE_URL": "postgresql://u:p@db/os"})
    assert settings.store_location == "postgresql://u:p@db/os"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        (":0", "0.0.0.0", 0),
        ("[::1]:80", "::1", 80),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert parse_address(str(parse_address(text))) == Address(host, port)


@pytest.mark.parametrize("text", ["", "80", "h:", "h:65536", "::1:80", "h:-1", "h:8a", "a b:80", "h:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_address(text)


def test_a_mistyped_variable_is_named_with_the_nearest() -> None:
    environment = {"OPENSTREAMER_HTPP": "x", "OPENSTREAMER_HTTP": "y", "OPENSTREAMER_CONFIG": "z", "HTPP": ""}
    assert unknown_variables(environment) == [
        "the environment variable OPENSTREAMER_HTPP is not known and was ignored;"
        " did you mean OPENSTREAMER_HTTP?"
    ]
    assert "did you mean" not in unknown_variables({"OPENSTREAMER_QQQQQQQQQQQQQQQQQQQQQQQQQ": ""})[0]
