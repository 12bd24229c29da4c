from bench.recording import filler, text_filler


def test_marks_are_replaced_wherever_they_stand() -> None:
    args = {"id": "a-1", "ids": ["a-1", "other"], "body": '{"id":"a-1"}', "version": 1}
    fill = filler(args, ["a-1"])
    assert fill(["b-2"]) == {
        "id": "b-2",
        "ids": ["b-2", "other"],
        "body": '{"id":"b-2"}',
        "version": 1,
    }


def test_an_answer_without_marks_stays() -> None:
    assert text_filler(b"as it was", ["a-1"])(["b-2"]) == b"as it was"
