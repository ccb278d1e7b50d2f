"""The watermark on decoded frames: where it is, how large, in which colours; and what is around it."""

import json
from pathlib import Path

import pytest

from kit import probe, programs
from kit.pictures import Frame, box_of, frames, inside, make_picture, psnr_outside
from loopback.prepare.prepared import prepare
from streamferry.media.watermark import Watermark
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.processing import COPY, FIRST, Processing

GREY = 126
RED = (255, 0, 0)


def film(path: Path, size: str, *arguments: str) -> Path:
    """Half a second of noise over grey, with sound."""
    picture = f"color=c=#7e7e7e:s={size}:r=10,noise=alls=6"
    inputs = ("-f", "lavfi", "-t", "0.5", "-i", picture, "-f", "lavfi", "-t", "0.5", "-i", "sine=sample_rate=48000")
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p")
    programs.run(
        [
            programs.ffmpeg(),
            "-v",
            "error",
            "-nostdin",
            "-y",
            *inputs,
            *video,
            "-c:a",
            "aac",
            "-ac",
            "2",
            *arguments,
            path,
        ]
    )
    return path


def marked(watermark: Watermark, form: Form | None = None) -> Processing:
    return Processing.of_list(FIRST, form=form, silence=True, watermark=watermark)


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ("320x180", "bt709"),
        ("320x180", "smpte170m"),
        ("320x180", "unknown"),
        ("640x360", "bt709"),
        ("1280x720", "bt709"),
    ],
)
def test_it_is_where_and_as_large_as_asked_for(tmp_path: Path, size: str, matrix: str) -> None:
    """A quarter of the width, at 0.5 and 0.25, in its own red; the picture around it is as good as before."""
    width, height = map(int, size.split("x"))
    clip = film(tmp_path / "film.mp4", size, "-colorspace", matrix)
    mark = Watermark(make_picture(tmp_path / "mark.png", "60x30", "red").read_bytes(), 0.5, 0.25, 0.25)
    outcome = prepare(clip, tmp_path / "entry", processing=marked(mark))
    (before,), (after,) = frames(clip), frames(outcome.flv)
    box = (width // 2, height // 4, width // 2 + width // 4, height // 4 + width // 8)
    assert box_of(after) == pytest.approx(box, abs=2)
    assert inside(after, box) == pytest.approx(RED, abs=12)
    assert psnr_outside(before, after, box) > 36
    assert outcome.summary.form.video is not None
    assert (outcome.summary.form.video.width, outcome.summary.form.video.height) == (width, height)
    assert probe.coded_bytes(outcome.flv)["audio"] == probe.coded_bytes(clip)["audio"]
    assert probe.decode_errors(outcome.flv) == ""
    assert not (outcome.entry.path / "watermark").exists()


def laid(tmp_path: Path, picture: Path, pos_x: float, pos_y: float, ratio: float, form: Form | None = None) -> Frame:
    """First frame of a grey film of 320 x 180 with a watermark."""
    clip = film(tmp_path / "film.mp4", "320x180", "-colorspace", "bt709")
    processing = marked(Watermark(picture.read_bytes(), pos_x, pos_y, ratio), form)
    outcome = prepare(clip, tmp_path / "entry", processing=processing)
    assert outcome.error == ""
    return frames(outcome.flv)[0]


def test_half_transparent_stays_half_transparent(tmp_path: Path) -> None:
    """Half red over grey is in the middle of both."""
    frame = laid(tmp_path, make_picture(tmp_path / "mark.png", "40x40", "red@0.5"), 0.25, 0.25, 0.25)
    middle = ((GREY + 255) / 2, GREY / 2, GREY / 2)
    assert inside(frame, (80, 45, 160, 125)) == pytest.approx(middle, abs=12)


def test_a_jpeg_is_laid_as_well(tmp_path: Path) -> None:
    """It has no alpha: all of it is seen."""
    frame = laid(tmp_path, make_picture(tmp_path / "mark.jpg", "40x40", "red"), 0.25, 0.25, 0.25)
    assert box_of(frame) == pytest.approx((80, 45, 160, 125), abs=2)
    assert inside(frame, (80, 45, 160, 125)) == pytest.approx(RED, abs=16)


def test_what_reaches_over_the_edges_is_cut_off(tmp_path: Path) -> None:
    """A mark half as wide as the picture and as high as wide, in its lower right quarter."""
    frame = laid(tmp_path, make_picture(tmp_path / "mark.png", "40x40", "red"), 0.75, 0.5, 0.5)
    assert box_of(frame) == pytest.approx((240, 90, 320, 180), abs=2)


def test_it_is_laid_over_the_form_of_the_list(tmp_path: Path) -> None:
    """On a film that is made smaller and gets bars, position and width are parts of what leaves."""
    form = Form(VideoForm("h264", 160, 160), AudioForm("aac", 48000, 2))
    frame = laid(tmp_path, make_picture(tmp_path / "mark.png", "40x40", "red"), 0.5, 0.5, 0.25, form)
    assert (len(frame[0]), len(frame)) == (160, 160)
    assert box_of(frame) == pytest.approx((80, 80, 120, 120), abs=2)
    assert max(frame[5][80]) < 10


def test_another_watermark_is_another_file(tmp_path: Path) -> None:
    """The key of the cache tells pictures and places apart."""
    red = make_picture(tmp_path / "red.png", "40x40", "red").read_bytes()
    blue = make_picture(tmp_path / "blue.png", "40x40", "blue").read_bytes()
    watermarks = [
        Watermark(red),
        Watermark(blue),
        Watermark(red, 0.5),
        Watermark(red, 0, 0.5),
        Watermark(red, ratio=0.5),
    ]
    processings = [COPY, marked(Watermark(red), Form()), *map(marked, watermarks)]
    assert len({processing.key for processing in processings}) == len(processings)
    for processing in processings:
        assert Processing.from_json(json.loads(json.dumps(processing.to_json()))) == processing


def test_it_stays_when_the_picture_changes_its_size(tmp_path: Path) -> None:
    """A recording of a phone that was turned: the mark is on both halves."""
    halves = [
        film(tmp_path / f"{size}.ts", size, "-output_ts_offset", start)
        for size, start in (("320x180", "0"), ("180x320", "0.5"))
    ]
    clip = tmp_path / "turned.ts"
    clip.write_bytes(b"".join(half.read_bytes() for half in halves))
    mark = Watermark(make_picture(tmp_path / "mark.png", "60x30", "red").read_bytes(), 0.05, 0.05, 0.25)
    outcome = prepare(clip, tmp_path / "entry", processing=marked(mark))
    pictures = frames(outcome.flv, 100, crop="4:4:20:22")
    assert len(pictures) > 7
    for picture in pictures:
        assert picture[1][1] == pytest.approx(RED, abs=12)
