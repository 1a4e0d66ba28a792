"""Sums of the media in a call."""

from pointsman.domain.calls import NO_MEDIA, Media


def test_media_add_up_and_keep_the_first_elsewhere_field() -> None:
    assert Media(1, 10, 100) + Media(2, 20, 200, "file_id") == Media(3, 30, 300, "file_id")
    assert Media(elsewhere="file_url") + Media(elsewhere="file_id") == Media(elsewhere="file_url")
    assert NO_MEDIA + NO_MEDIA == NO_MEDIA
