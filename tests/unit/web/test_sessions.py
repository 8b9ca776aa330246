from __future__ import annotations

from portline.web.sessions import ABSOLUTE, IDLE, KEY_LIFE, SESSIONS_MAX, Sessions, same


def test_a_session_is_found_by_its_secret_and_by_nothing_else() -> None:
    sessions = Sessions()
    secret, session = sessions.begin("grade", 0)
    assert sessions.find(secret, "grade", 1) is session
    assert sessions.find(secret[:-1], "grade", 1) is None
    assert sessions.find("", "grade", 1) is None


def test_every_session_has_secrets_of_its_own() -> None:
    sessions = Sessions()
    made = [sessions.begin(1, 0) for _ in range(20)]
    assert len({secret for secret, _ in made} | {session.csrf for _, session in made}) == 40


def test_a_session_ends_when_it_is_not_used_but_not_while_it_is() -> None:
    sessions = Sessions()
    secret, session = sessions.begin(1, 0)
    at = 0.0
    while at + IDLE * 0.9 < ABSOLUTE:
        at += IDLE * 0.9
        assert sessions.find(secret, 1, at) is session
    assert sessions.find(secret, 1, at + IDLE) is None
    assert session.ended
    assert len(sessions) == 0


def test_a_session_ends_after_its_time_however_much_it_is_used() -> None:
    sessions = Sessions()
    secret, session = sessions.begin(1, 0)
    session.used = ABSOLUTE
    assert sessions.find(secret, 1, ABSOLUTE) is None


def test_a_session_ends_with_another_password() -> None:
    sessions = Sessions()
    secret, session = sessions.begin("old", 0)
    assert not sessions.holds(session, "new", 0)
    assert sessions.find(secret, "new", 0) is None
    assert sessions.find(secret, "old", 0) is None


def test_sessions_are_bounded_and_the_one_used_longest_ago_gives_way() -> None:
    sessions = Sessions()
    first, _ = sessions.begin(1, 0)
    second, given_way = sessions.begin(1, 0)
    for _ in range(SESSIONS_MAX - 2):
        sessions.begin(1, 0)
    assert sessions.find(first, 1, 1) is not None
    sessions.begin(1, 2)
    assert len(sessions) == SESSIONS_MAX
    assert sessions.displaced == 1
    assert given_way.ended
    assert sessions.find(second, 1, 2) is None
    assert sessions.find(first, 1, 2) is not None


def test_what_ended_by_time_gives_way_first() -> None:
    sessions = Sessions()
    for _ in range(SESSIONS_MAX):
        sessions.begin(1, 0)
    sessions.begin(1, IDLE)
    assert (len(sessions), sessions.displaced) == (1, 0)


def test_a_key_logs_in_once_and_only_for_its_time() -> None:
    sessions = Sessions()
    key = sessions.key("grade", 0)
    assert not sessions.use("", "grade", 0)
    assert not sessions.use(key + "x", "grade", 0)
    assert sessions.use(key, "grade", KEY_LIFE - 1)
    assert not sessions.use(key, "grade", KEY_LIFE - 1)
    assert not sessions.use(sessions.key("grade", 0), "grade", KEY_LIFE)


def test_another_key_makes_the_one_before_worthless() -> None:
    sessions = Sessions()
    before = sessions.key("grade", 0)
    sessions.key("grade", 0)
    assert not sessions.use(before, "grade", 1)


def test_secrets_are_not_shown() -> None:
    secret, session = Sessions().begin(1, 0)
    assert session.csrf not in repr(session)
    assert secret not in repr(session)


def test_secrets_are_compared_whatever_is_in_them() -> None:
    assert same("a", "a")
    assert not same("a", "\udcff")


def test_a_key_is_worth_nothing_once_another_password_is_set() -> None:
    sessions = Sessions()
    assert not sessions.use(sessions.key("before", 0), "after", 1)
    assert not sessions.use("never given", None, 0)
