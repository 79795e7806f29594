"""What input URLs mean, and that no secret of a URL survives redaction."""

import string
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.config.input_urls import (
    CopyInput,
    Endpoint,
    FileInput,
    HttpInput,
    InputUrl,
    MixerInput,
    PublishInput,
    RtmpInput,
    RtspInput,
    S3Input,
    SrtInput,
    TestInput,
    UdpInput,
    is_publish,
    parse_input_url,
    scheme_of,
)
from openstreamer.config.urls import (
    MASK,
    is_secret_name,
    redact_push_url,
    redact_request_url,
    redact_text,
    redact_url,
    unmask_url,
)
from openstreamer.media.errors import ConfigError

_MEANINGS: dict[str, InputUrl] = {
    "publish://": PublishInput(),
    "rtmp://0.0.0.0:1935/live/key": PublishInput(),
    "srt://0.0.0.0:9999?streamid=x": PublishInput(),
    "rtmp://[::]:1935/live/key": PublishInput(),
    "test://": TestInput(1280, 720, Fraction(25), 2_000_000),
    "test://?size=640x360&fps=29.97&video_bitrate=2500k": TestInput(
        640, 360, Fraction(30000, 1001), 2_500_000
    ),
    "test://?fps=60000/1001": TestInput(fps=Fraction(60000, 1001)),
    "rtmp://h/live/news?type=1": RtmpInput(Endpoint("h", 1935, "/live/news", (("type", "1"),)), tls=False),
    "RTMPS://h:444/a/b": RtmpInput(Endpoint("h", 444, "/a/b"), tls=True),
    "rtsp://u:p%40w@cam/ch1": RtspInput(Endpoint("cam", 554, "/ch1", (), "u", "p@w"), tls=False),
    "rtsps://cam:8322/": RtspInput(Endpoint("cam", 8322, "/"), tls=True),
    "srt://h:9999?streamid=#!::r=live/x,m=request": SrtInput(
        Endpoint("h", 9999, "", (("streamid", "#!::r=live/x,m=request"),))
    ),
    "udp://239.1.1.1:5000?iface=eth0&source=10.0.0.1": UdpInput("239.1.1.1", 5000, True, "eth0", "10.0.0.1"),
    "udp://@239.1.1.1:5000": UdpInput("239.1.1.1", 5000, True),
    "udp://:5000": UdpInput("", 5000, False),
    "https://cdn/x/index.m3u8?variant=1": HttpInput(
        Endpoint("cdn", 443, "/x/index.m3u8", (("variant", "1"),)), tls=True, kind="hls"
    ),
    "http://h/a.M3U": HttpInput(Endpoint("h", 80, "/a.M3U"), tls=False, kind="hls"),
    "http://h/news/mpegts": HttpInput(Endpoint("h", 80, "/news/mpegts"), tls=False, kind="mpegts"),
    "http://h/live.flv": HttpInput(Endpoint("h", 80, "/live.flv"), tls=False, kind="flv"),
    "http://h/feed": HttpInput(Endpoint("h", 80, "/feed"), tls=False, kind="sniff"),
    "file://vod/a%20b/c.ts?loop=true": FileInput("vod", "a b/c.ts", True),
    "file:///srv/c.ts": FileInput("", "/srv/c.ts", False),
    "/srv/c.ts?loop": FileInput("", "/srv/c.ts", True),
    "s3://bucket/a/b.ts?region=eu": S3Input("bucket", "a/b.ts", (("region", "eu"),)),
    "s3://b/c?endpoint=http://minio:9000": S3Input("b", "c", (("endpoint", "http://minio:9000"),)),
    "copy://region/north/news": CopyInput("region/north/news"),
    "mixer://a/b,c?audio_failure=stop": MixerInput("a/b", "c", "stop"),
    "mixer://a,b": MixerInput("a", "b", "continue"),
}


@pytest.mark.parametrize("url", _MEANINGS)
def test_every_form_of_the_contract_is_understood(url: str) -> None:
    assert parse_input_url(url) == _MEANINGS[url]


@pytest.mark.parametrize(
    "url",
    [
        "", "news", "ftp://h/x", "rtmp://", "rtmp://h", "rtmp://h:0/a/b", "rtmp://h:99999/a/b", "rtmp://h:x/a",
        "rtsp://", "srt://h", "udp://239.1.1.1", "udp://10.0.0.1:5000?source=10.0.0.2", "http:///x", "file://",
        "file:///", "file://vod/../../etc/passwd", "/srv/../etc/shadow", "s3://bucket", "copy://", "copy://a!",
        "copy://streams", "mixer://a", "mixer://a,b,c", "mixer://a,b?audio_failure=maybe", "http://[::1/x",
        "rtmp://a b/c", "rtmp://h/\n", "test://?size=641x360", "test://?size=8x8", "test://?size=4000x100",
        "test://?fps=0", "test://?fps=500", "test://?fps=30/0", "test://?fps=00/00", "test://?video_bitrate=1",
        "test://?video_bitrate=9G", "test://?colour=red", "http://h/" + "a" * 2048, "file://v/x?loop=perhaps",
        "rtmp://:99999/live/x",
    ],
)  # fmt: skip
def test_what_cannot_be_an_input_is_refused_with_its_field(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_input_url(url, field="inputs[0].url")
    assert refused.value.field == "inputs[0].url"
    assert not is_publish(url)


@given(
    st.text(max_size=200)
    | st.from_regex(r"(rtmp|srt|http|udp|test|mixer|file)://[ -~]{0,80}", fullmatch=True)
)
def test_any_text_is_a_typed_input_or_a_typed_refusal(text: str) -> None:
    try:
        parse_input_url(text)
    except ConfigError:
        return


def test_a_refusal_never_repeats_a_password() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_input_url("rtmp://user:hunter22@ho st/x")
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(("url", "scheme"), [("RTMP://x/y", "rtmp"), ("/a/b", "file"), ("garbage", "file")])
def test_the_scheme_is_a_safe_label(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


# Redaction. Secrets consist of two halves that occur nowhere else, so that half a secret is found as well.

_HALF = "SECRETPART"
_SECRETS = st.text(alphabet=string.ascii_letters + string.digits + "%-_.~!$'()*+", max_size=12).map(
    lambda middle: f"{_HALF}{middle}{_HALF}"
)
_HOSTS = st.sampled_from(["h", "cdn.example.com:8080", "10.0.0.1:1935", "[2001:db8::1]:554"])
_SECRET_NAMES = st.sampled_from(
    ["key", "token", "passphrase", "stream_key", "secretKey", "access_token", "X-Amz-Signature", "hdnts",
     "sig", "wmsAuthSign", "txSecret", "auth_key", "password", "pwd", "Key-Pair-Id", "md5", "st", "jwt",
     "Policy", "%74oken", "X-Amz-Credential", "api.key", "__token__", "verify", "psw", "loginuse", "loginpas",
     "code", "e", "h", "pp", "anything at all"]
)  # fmt: skip
_PLAIN_FIELDS = st.sampled_from(["", "program=1", "latency=120", "mode=caller", "_HLS_msn=17"])


@given(st.sampled_from(["rtmp", "rtsp", "http", "https", "srt", "s3"]), _HOSTS, _SECRETS)
def test_no_password_survives(scheme: str, host: str, secret: str) -> None:
    shown = redact_url(f"{scheme}://user:{secret}@{host}/app/name")
    assert _HALF not in shown
    assert shown == f"{scheme}://user:{MASK}@{host}/app/name"


@given(_HOSTS, _SECRETS, st.sampled_from(["/", "?", "#", "@", ":", "/@", "?@/"]))
def test_no_password_survives_that_should_have_been_escaped(host: str, secret: str, mark: str) -> None:
    assert _HALF not in redact_url(f"rtmp://user:{secret}{mark}{secret}@{host}/app/name")


@given(
    st.sampled_from(["rtmp", "http", "srt", "https", "s3"]), _HOSTS, _SECRET_NAMES, _SECRETS, _PLAIN_FIELDS
)
def test_no_secret_field_of_the_query_survives(
    scheme: str, host: str, name: str, secret: str, plain: str
) -> None:
    fields = [field for field in (plain, f"{name}={secret}", plain) if field]
    shown = redact_url(f"{scheme}://{host}/a/b?{'&'.join(fields)}")
    assert _HALF not in shown
    assert plain in shown


@given(_SECRETS)
@pytest.mark.parametrize(
    "form",
    [
        "https://{}@host/x",
        "srt://h:9999?streamid=publish:live/news?key={}",
        "srt://h:9999?streamid=#!::r=live/news,m=publish,key={}",
        "srt://h:9999?streamid=%23!::r=live/news,m=publish,s={}&latency=1",
        "srt://h:9999?streamid={}",
        "srt://h:9999?mode=caller&passphrase={}&streamid=live/x",
        "http://panel:8080/live/user/{}/1234.ts",
        "http://panel:8080/alice/{}/12345",
        "http://panel:8080/alice/{}/12345.ts",
        "http://h/get.php?username=u&password={}&type=m3u",
        "https://h/hdnts=exp=1~acl=/*~hmac={}/index.m3u8",
        "https://h/x.m3u8?{}",
        "https://h/x.m3u8#{}",
        "https://h/proxy?url=rtmp%3A%2F%2Fu%3A{}%40h%2Fx",
        "s3://bucket/key?endpoint=https://AK:{}@minio:9000",
        "s3://bucket/key?endpoint=AK:{}@minio:9000",
        "rtmp://h/live/news?key={};x=1",
    ],
)
def test_no_known_place_of_a_secret_is_forgotten(form: str, secret: str) -> None:
    url = form.format(secret)
    assert _HALF not in redact_url(url)
    assert _HALF not in redact_push_url(url)


@given(_SECRETS)
def test_a_destination_hides_its_stream_name(secret: str) -> None:
    assert redact_push_url(f"rtmp://a.example.com/live2/{secret}") == f"rtmp://a.example.com/live2/{MASK}"
    assert _HALF not in redact_push_url(f"rtmps://h:443/app/{secret}?x=1")
    assert _HALF not in redact_push_url(f"srt://h:1?streamid=live/{secret}&latency=20")


@given(st.text(max_size=120) | st.sampled_from(list(_MEANINGS)))
def test_redacting_twice_changes_nothing(url: str) -> None:
    once = redact_url(url)
    assert redact_url(once) == once


@pytest.mark.parametrize("url", [url for url in _MEANINGS if ":p%40w@" not in url])
def test_a_url_without_a_secret_stays_readable(url: str) -> None:
    if "streamid=x" in url:
        url = url.replace("streamid=x", "streamid=live/x")
    assert redact_url(url) == url


@pytest.mark.parametrize(
    "path", ["/live/news/12.ts", "/hls/news/3", "/news/720p/seg-12.ts", "/a/b/c/12.ts", "/bitrate=500/x.ts"]
)
def test_a_path_that_is_no_panels_stays_readable(path: str) -> None:
    assert redact_url(f"http://h{path}") == f"http://h{path}"


@pytest.mark.parametrize("query", ["type={0}", "a={0}&loop={0};x={0}", "{0}&size=", "&;="])
def test_no_value_of_a_requests_query_is_shown(query: str) -> None:
    shown = redact_request_url(f"https://user:S3@h/x/index.m3u8?{query.format('S3')}")
    assert shown == f"https://user:{MASK}@h/x/index.m3u8?{query.format(MASK)}"
    assert redact_request_url(shown) == shown
    assert redact_request_url("http://h/x") == "http://h/x"


def test_urls_inside_a_message_are_redacted() -> None:
    text = "cannot open 'rtmp://u:hunter22@h/x?key=hunter22': refused"
    assert redact_text(text) == f"cannot open 'rtmp://u:{MASK}@h/x?key={MASK}': refused"


@pytest.mark.parametrize("name", ["latency", "loop", "mode", "iface", "source", "size", "fps", "region", "e"])
def test_ordinary_names_are_not_secret(name: str) -> None:
    assert not is_secret_name(name)


# Writing the mask back

_STORED = [
    "rtmp://user:S3@h:1935/live/news?key=S3&x=1",
    "srt://h:9999?streamid=#!::r=live/x,m=publish,key=S3&passphrase=S3&latency=20",
    "https://S3@h/x.m3u8?token=S3#S3",
    "http://panel/live/user/S3/12.ts",
]


@pytest.mark.parametrize("stored", _STORED)
def test_the_shown_url_written_back_is_the_stored_one(stored: str) -> None:
    assert unmask_url(redact_url(stored), stored) == stored
    assert unmask_url(redact_push_url(stored), stored, push=True) == stored


def test_a_masked_part_is_kept_while_another_changes() -> None:
    stored = "rtmp://user:S3@h/live/news?key=K1&x=1"
    assert unmask_url(f"rtmp://user:{MASK}@h/live/sports?key={MASK}&x=2", stored) == (
        "rtmp://user:S3@h/live/sports?key=K1&x=2"
    )
    assert unmask_url(f"rtmp://user:new@h/live/news?key={MASK}&x=1", stored) == (
        "rtmp://user:new@h/live/news?key=K1&x=1"
    )


def test_of_two_masked_fields_of_one_name_neither_is_guessed() -> None:
    with pytest.raises(ConfigError, match="give the secret itself"):
        unmask_url(f"http://h/x?a={MASK}&a={MASK}&type=2", "http://h/x?a=1&a=2&type=1")
    assert unmask_url(f"http://h/x?a={MASK}&a={MASK}&type=2", "http://h/x?a=1&a=1&type=1") == (
        "http://h/x?a=1&a=1&type=2"
    )


@pytest.mark.parametrize(
    "patch",
    [f"rtmp://user:{MASK}@evil/live/news", f"http://user:{MASK}@h/live/news", f"rtmp://user:{MASK}@h:9/a/b"],
)
def test_a_secret_is_not_sent_to_another_host(patch: str) -> None:
    with pytest.raises(ConfigError, match="another host"):
        unmask_url(patch, "rtmp://user:S3@h/live/news")


@pytest.mark.parametrize("stored", [None, "rtmp://h/live/news"])
def test_a_mask_for_which_nothing_is_stored_is_refused(stored: str | None) -> None:
    with pytest.raises(ConfigError, match="give the secret itself"):
        unmask_url(f"rtmp://user:{MASK}@h/live/news", stored)
