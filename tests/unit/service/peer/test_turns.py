from __future__ import annotations

from portline.net.link import READ_SIZE
from portline.service.peer.turns import COMMANDS_READ, MANY, WORD, next_read


def test_data_comes_at_full_speed_after_a_few_turns() -> None:
    sizes = [COMMANDS_READ]
    while sizes[-1] < READ_SIZE:
        sizes.append(next_read(sizes[-1], events=1, said=0))
    assert sizes[1] == 2 * COMMANDS_READ
    assert len(sizes) < 8
    assert next_read(READ_SIZE, events=MANY, said=WORD * MANY) == READ_SIZE


def test_many_commands_or_answers_leave_turns_for_others() -> None:
    assert next_read(READ_SIZE, events=MANY + 1, said=0) == COMMANDS_READ
    assert next_read(READ_SIZE, events=1, said=WORD * (MANY + 1)) == COMMANDS_READ
