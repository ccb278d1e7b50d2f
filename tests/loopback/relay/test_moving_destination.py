"""A server that leaves asks its publishers to go on elsewhere (Enhanced RTMP v2, "Reconnect Request")."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from kit.clips import ClipFactory
from scripted.camera import number_of
from scripted.destination import KEY, Caller, Destination, Publish, take
from scripted.listener import reset, until_closed
from scripted.source import Source
from scripted.waiting import until
from streamferry.media import peer_options
from streamferry.media.enhanced import tag_kind
from streamferry.media.peer_options import PeerOptions
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.relay import destination_keeper
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.spec import Destination as AnotherDestination
from streamferry.relay.spec import Item, RelaySpec
from streamferry.relay.status import Moved

pytestmark = pytest.mark.usefixtures("quick")


def request(place: str | None) -> dict:
    """What a server tells that asks to go on there."""
    told = {"level": "status", "code": "NetConnection.Connect.ReconnectRequest", "description": ""}
    return told if place is None else {**told, "tcUrl": place}


def asking(place: str | None, pictures: int = 5):
    """Take some pictures, ask to go on there, and go on taking: it is the client that leaves."""

    async def manner(caller: Caller) -> None:
        await caller.receive_pictures(pictures)
        caller.session._send_command(0, "onStatus", 0, None, request(place))
        await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())
        await take(caller)

    return manner


def asking_early(place: str, *, is_accepted: bool):
    """Ask in the bytes that accept the stream, before or after that, and nothing more."""

    async def manner(caller: Caller) -> None:
        accept, ask = caller.session.accept, caller.session._send_command
        steps = [accept, lambda: ask(0, "onStatus", 0, None, request(place))]
        connected = False

        def answer() -> None:
            nonlocal connected
            for step in (steps if is_accepted else reversed(steps)) if connected else (accept,):
                step()
            connected = True

        caller.session.accept = answer
        await take(caller)

    return manner


class Asking:
    """A manner: the first to publish is asked, after some pictures and as often as wanted, to go on elsewhere."""

    def __init__(self, place: str | None, *, pictures: int = 15, times: int = 1, goes_away: bool = False) -> None:
        self.place = place
        self.pictures = pictures
        self.times = times
        self.goes_away = goes_away
        self.asked = 0

    async def __call__(self, caller: Caller) -> None:
        while await caller.listen():
            publish = caller.publish
            if publish is None or self.asked == self.times or len(publish.frames(VIDEO)) < self.pictures:
                continue
            self.pictures += 3
            self.asked += 1
            if self.goes_away:
                caller.session._send(2, 32, 0, b"")
            else:
                caller.session._send_command(0, "onStatus", 0, None, request(self.place))
            await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())


def seeing(before: Destination, seen: list[str | None]):
    """Take all; note how the first publish of that destination had ended when this one was accepted."""

    async def manner(caller: Caller) -> None:
        is_noted = False
        while await caller.listen():
            if caller.publish is not None and not is_noted:
                is_noted = True
                seen.append(before.publishes[0].ended)

    return manner


def assert_whole(first: Publish, second: Publish) -> None:
    """Put together, each frame is there once, as far apart as the camera sent them; the join is a keyframe."""
    assert tag_kind(VIDEO, second.frames(VIDEO)[0][2]) == KEYFRAME
    for tag_type in (VIDEO, AUDIO):
        numbers = [number_of(tag) for publish in (first, second) for tag in publish.frames(tag_type)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        for publish in (first, second):
            steps = [after - before for before, after in pairwise(publish.stamps(tag_type))]
            assert set(steps) <= {40 if tag_type == VIDEO else 20}
    assert second.stamps(VIDEO)[0] == 0
    # The sound that belongs to the first picture is with it.
    assert number_of(second.frames(AUDIO)[0]) == 2 * number_of(second.frames(VIDEO)[0])


def has_come(publishes: list[Publish], *, pictures: int = 31) -> bool:
    """Whether there is a second publish with so much in it, and the first has ended."""
    return len(publishes) > 1 and publishes[0].is_over and len(publishes[1].frames(VIDEO)) >= pictures


@pytest.mark.parametrize("goes_away", [False, True])
@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_a_move_lost_what_came_while_the_next_session_was_opened(relays, destination, protocol, goes_away):
    """Both are open for a moment; the first is unpublished when the second has the next keyframe. No failure."""
    seen: list[str | None] = []
    async with Source(protocol) as source, Destination(seeing(destination, seen)) as elsewhere:
        elsewhere.publishes = destination.publishes
        destination.manner = Asking(f"rtmp://127.0.0.1:{elsewhere.port}/other", goes_away=goes_away)
        if goes_away:
            # It names no place: the same server once more.
            first_manner, later = destination.manner, seeing(destination, seen)
            destination.manner = lambda caller: (later if destination.publishes else first_manner)(caller)
        moves: list[Moved] = []
        running = relays.start(source, destination)
        running.relay.watch_moves(moves.append)
        await until("the second session", lambda: has_come(destination.publishes))
        await running.relay.stop()
        first, second = destination.publishes
        assert seen == [None]
        assert first.ended == "unpublished"
        assert second.key.startswith(KEY)
        assert_whole(first, second)
        assert running.status.retries == 0
        assert {status.state for status in running.told[running.told.index(streaming(running)) :]} <= {
            "streaming",
            "stopped",
        }
        port = destination.port if goes_away else elsewhere.port
        assert [str(move.why) for move in moves] == [
            f"the destination asked for another session: the stream goes on at 127.0.0.1:{port}, without a break"
        ]


def streaming(running):
    """The first status that said so."""
    return next(status for status in running.told if status.state == "streaming")


@pytest.mark.parametrize("place", [None, "", "/other", "https://127.0.0.1/x", "rtmp://[", "x" * 5000])
async def test_a_place_at_the_same_server_is_gone_on_at_without_a_break(relays, source, destination, place):
    """None named, another application, and what is no address of RTMP."""
    asking = Asking(place)
    destination.manner = asking
    running = relays.start(source, destination)
    await until("the second session", lambda: has_come(destination.publishes))
    await running.relay.stop()
    assert_whole(*destination.publishes)
    assert running.status.retries == 0


async def listen_and_refuse(caller: Caller) -> bool:
    """Answer once; a publish is refused in the words of nginx-rtmp."""
    reject = caller.session.reject
    caller.session.reject = lambda code, words: reject("NetStream.Publish.BadName", "Already publishing")
    return await caller.listen(accept=False)


@pytest.mark.parametrize("at_home", [True, False])
async def test_a_place_that_takes_one_publisher_gets_the_stream_after_the_first_has_ended(
    relays, source, destination, at_home
):
    """It refuses the second: then the first ends where a viewer can begin, and the next begins there, all the same."""
    asking = Asking(None)
    refusals = 0

    async def manner(caller: Caller) -> None:
        nonlocal refusals
        publishes = destination.publishes
        if not publishes and caller._destination is destination:
            await asking(caller)
        elif publishes[0].ended is None:
            refusals += 1
            while await listen_and_refuse(caller):
                pass
        else:
            await take(caller)

    async with Destination(manner) as elsewhere:
        destination.manner = manner
        if not at_home:
            asking.place = f"rtmp://127.0.0.1:{elsewhere.port}/live"
            elsewhere.publishes = destination.publishes
        running = relays.start(source, destination)
        moves: list[Moved] = []
        running.relay.watch_moves(moves.append)
        await until("the second session", lambda: has_come(destination.publishes))
        await running.relay.stop()
        assert refusals == 1
        first, second = destination.publishes
        assert first.ended == "unpublished"
        assert_whole(first, second)
        assert running.status.retries == 0
        assert elsewhere.accepted == (0 if at_home else 2)
        (move,) = moves
        assert "Already publishing" in str(move.why)


async def never_answer(caller: Caller) -> None:
    """Accept the connection, and nothing more."""
    await until_closed(caller.sock)


async def test_a_place_that_says_nothing_costs_no_media(relays, source, destination, monkeypatch):
    """The first session goes on meanwhile; after some seconds the next is opened where the address points."""
    monkeypatch.setattr(destination_keeper, "BESIDE_S", 0.5)
    async with Destination(never_answer) as wedged:
        destination.manner = Asking(f"rtmp://127.0.0.1:{wedged.port}/live")
        running = relays.start(source, destination)
        await until("the second session", lambda: has_come(destination.publishes))
        await running.relay.stop()
        assert wedged.accepted == 1
        assert_whole(*destination.publishes)
        assert running.status.retries == 0


async def test_a_place_where_nobody_is_costs_no_media(relays, source, destination):
    async with Destination() as gone:
        place = f"rtmp://127.0.0.1:{gone.port}/live"
    destination.manner = Asking(place)
    running = relays.start(source, destination)
    await until("the second session", lambda: has_come(destination.publishes))
    await running.relay.stop()
    assert_whole(*destination.publishes)
    assert running.status.retries == 0


async def test_a_server_that_ends_the_first_session_for_the_second_is_followed(relays, source, destination):
    """Platforms where the newer publisher of a key evicts the older: what it had not taken is lost, nothing else."""
    asking = Asking(None)

    async def manner(caller: Caller) -> None:
        if not destination.publishes:
            caller_of_first.append(caller)
            await asking(caller)
            return
        while await caller.listen():
            if caller.publish is not None and caller_of_first:
                reset(caller_of_first.pop().sock)

    caller_of_first: list[Caller] = []
    destination.manner = manner
    running = relays.start(source, destination)
    await until("the second session", lambda: len(destination.publishes) > 1)
    await until("pictures", lambda: len(destination.publishes[1].frames(VIDEO)) > 30)
    assert tag_kind(VIDEO, destination.publishes[1].frames(VIDEO)[0][2]) == KEYFRAME
    assert len(destination.publishes) == 2
    assert running.status.retries == 0
    await running.relay.stop()


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_one_that_asks_as_it_accepts_is_followed(relays, source, destination, is_accepted):
    """As servers do that are full. Before the acceptance they may not ask (Enhanced RTMP v2), and are not heard."""
    async with Destination() as elsewhere:
        destination.manner = asking_early(f"rtmp://127.0.0.1:{elsewhere.port}/other", is_accepted=is_accepted)
        running = relays.start(source, destination)
        there = elsewhere if is_accepted else destination
        await until("a stream", lambda: there.publishes and len(there.publishes[0].frames(VIDEO)) > 30)
        assert running.status.retries == 0
        assert len(destination.publishes) == 1
        assert len(elsewhere.publishes) == is_accepted
        await running.relay.stop()


@pytest.mark.parametrize("place", [None, "/live"])
async def test_where_it_asks_to_go_is_seen_from_where_it_is(relays, source, destination, monkeypatch, place):
    """By the specification a relative address, and none, refer to the connection's own, not to the task's."""
    monkeypatch.setattr(destination_keeper, "MOVES_S", 0.0)
    async with Destination(asking(place)) as elsewhere:
        destination.manner = asking(f"rtmp://127.0.0.1:{elsewhere.port}/other")
        running = relays.start(source, destination)
        await until("a session elsewhere", lambda: elsewhere.publishes)
        elsewhere.manner = take
        await until("another", lambda: len(elsewhere.publishes) == 2 and elsewhere.publishes[1].frames(VIDEO))
        assert len(destination.publishes) == 1
        await running.relay.stop()


async def test_ten_requests_in_a_minute_are_one(relays, source, destination):
    """What is asked again within a minute waits, and the session goes on: it was followed, and told as a failure."""
    asking = Asking(None, times=10)
    destination.manner = asking
    running = relays.start(source, destination)
    await until("all requests", lambda: asking.asked == 10)
    second = destination.publishes[1]
    count = len(second.frames(VIDEO))
    await until("more pictures", lambda: len(second.frames(VIDEO)) > count + 25)
    assert len(destination.publishes) == 2
    assert running.status.retries == 0
    assert_whole(*destination.publishes)
    await running.relay.stop()


async def test_a_request_of_the_same_minute_is_followed_when_that_is_over(relays, source, destination, monkeypatch):
    monkeypatch.setattr(destination_keeper, "MOVES_S", 1.0)
    destination.manner = lambda caller: Asking(None)(caller)
    running = relays.start(source, destination)
    await until("a third session", lambda: len(destination.publishes) > 2 and destination.publishes[1].is_over)
    await until("pictures", lambda: destination.publishes[2].has_both_tracks)
    assert_whole(*destination.publishes[:2])
    assert_whole(*destination.publishes[1:3])
    assert running.status.retries == 0
    await running.relay.stop()


async def test_a_request_while_a_session_is_rotated_says_where_the_next_begins(
    relays, source, destination, monkeypatch
):
    """It comes between the end of the session's time and the next keyframe."""
    monkeypatch.setattr(peer_options, "MIN_ROTATE_S", 1)
    async with Destination() as elsewhere:
        elsewhere.publishes = destination.publishes
        outlet = None

        async def manner(caller: Caller) -> None:
            is_asked = False
            while await caller.listen():
                if not is_asked and type(outlet.session).__name__ == "UntilStart":
                    is_asked = True
                    place = request(f"rtmp://127.0.0.1:{elsewhere.port}/other")
                    caller.session._send_command(0, "onStatus", 0, None, place)
                    await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())

        destination.manner = manner
        source.camera.gop = 40
        running = relays.start(source, destination, destination_options=PeerOptions(rotate_s=1))
        outlet = running.relay._run._flow.outlet
        await until("the stream elsewhere", lambda: elsewhere.accepted and has_come(destination.publishes))
        await running.relay.stop()
        assert_whole(*destination.publishes[:2])
        assert running.status.retries == 0


async def test_each_of_several_destinations_moves_alone(relays, source, destination):
    """The other one hears nothing of it, and loses nothing."""
    async with Destination() as other, Destination() as elsewhere:
        elsewhere.publishes = other.publishes
        other.manner = Asking(f"rtmp://127.0.0.1:{elsewhere.port}/other")
        spec = RelaySpec.live(
            source.url(), destination.url(), destination_id="1", others=(AnotherDestination("2", other.url()),)
        )
        running = relays.start_spec(spec)
        moves: list[Moved] = []
        running.relay.watch_moves(moves.append)
        await until("the second session", lambda: has_come(other.publishes))
        await running.relay.stop()
        assert_whole(*other.publishes)
        (publish,) = destination.publishes
        numbers = [number_of(tag) for tag in publish.frames(VIDEO)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert [move.destination for move in moves] == ["2"]


async def frames_of(relays, spec: RelaySpec) -> dict[int, list[Tag]]:
    """The frames of a list's only item, by track."""
    reader = await PreparedList(relays.host._store).open_item(spec, spec.items[0], 0)
    await reader.file.wait_complete(lambda _: None)
    start, tags = reader.offset, []
    reader.advance(1 << 40)
    reader.tags(start, tags)
    found = {
        tag_type: [(tag[0], tag[1], bytes(tag[2])) for tag in tags if is_frame(tag, tag_type)]
        for tag_type in (VIDEO, AUDIO)
    }
    reader.close()
    return found


def is_frame(tag: Tag, tag_type: int) -> bool:
    """Whether it is a frame of that track."""
    return tag[0] == tag_type and tag_kind(tag_type, tag[2]) <= KEYFRAME


@pytest.mark.parametrize(
    ("moves", "keeps_time"), [("beside", False), ("beside", True), ("refused", False), ("by plan", True)]
)
async def test_a_list_goes_on_in_the_next_session_where_it_was(
    relays, destination, clips: ClipFactory, monkeypatch, moves, keeps_time
):
    """Each frame of the file once, in order, over both sessions. A list that keeps time stays where it is by that."""
    items = [Item(MediaUrl.parse(clips("h264_bframes").as_uri()))]
    asking = Asking(None)

    async def manner(caller: Caller) -> None:
        if not destination.publishes:
            await asking(caller)
        elif moves == "refused" and destination.publishes[0].ended is None:
            while await listen_and_refuse(caller):
                pass
        else:
            await take(caller)

    options = {}
    if moves == "by plan":
        asking.times = 0
        monkeypatch.setattr(peer_options, "MIN_ROTATE_S", 1)
        options = {"destination_options": PeerOptions(rotate_s=1)}
    destination.manner = manner
    spec = RelaySpec.vod(items, destination.url(), keeps_time=keeps_time, **options)
    running = relays.start_spec(spec)
    # By plan it ends at the first keyframe after a second, which may be the 26th picture.
    await until("the second session", lambda: has_come(destination.publishes, pictures=25))
    await running.relay.stop()
    first, second = publishes = destination.publishes[:2]
    file = await frames_of(relays, spec)
    for tag_type, frames in file.items():
        bodies = [tag[2] for publish in publishes for tag in publish.frames(tag_type)]
        assert len(bodies) > 45
        assert bodies == [frames[number % len(frames)][2] for number in range(len(bodies))]
        for publish in publishes:
            assert all(after > before for before, after in pairwise(publish.stamps(tag_type)))
    assert tag_kind(VIDEO, second.frames(VIDEO)[0][2]) == KEYFRAME
    assert first.ended == "unpublished"
    # Sound and picture are as far apart as in the file.
    at = {tag_type: len(first.frames(tag_type)) % len(frames) for tag_type, frames in file.items()}
    apart_ms = file[AUDIO][at[AUDIO]][1] - file[VIDEO][at[VIDEO]][1]
    assert at[AUDIO] == 0 or second.stamps(AUDIO)[0] - second.stamps(VIDEO)[0] == pytest.approx(apart_ms, abs=2)
    assert running.status.retries == 0
    assert running.status.lost_ms == 0


async def test_a_list_to_several_moves_at_one_of_them(relays, destination, clips: ClipFactory):
    """The other one hears nothing of it; both have each frame of the files once, over the loop as well."""
    items = [Item(MediaUrl.parse(clips("h264_bframes").as_uri()))]
    async with Destination() as other:
        other.manner = Asking(None)
        further = (AnotherDestination("2", other.url()),)
        spec = RelaySpec.vod(items, destination.url(), destination_id="1", others=further)
        running = relays.start_spec(spec)
        await until("the second session", lambda: has_come(other.publishes))
        first, second = other.publishes[:2]
        await running.relay.stop()
    file = await frames_of(relays, spec)
    for tag_type, frames in file.items():
        bodies = [tag[2] for publish in (first, second) for tag in publish.frames(tag_type)]
        at = [frame[2] for frame in frames].index(bodies[0])
        assert bodies == [frames[number % len(frames)][2] for number in range(at, at + len(bodies))]
    assert tag_kind(VIDEO, second.frames(VIDEO)[0][2]) == KEYFRAME
    assert first.ended == "unpublished"
    assert len(destination.publishes) == 1
    assert running.status.retries == 0


async def test_where_the_policy_does_not_lead_nobody_is_followed(relays, source, destination, monkeypatch):
    """The address of a cloud's metadata, named by a server."""
    destination.manner = asking("rtmp://169.254.169.254/latest")
    guarded = replace(relays.host._network, allow=lambda address: address == "127.0.0.1")
    monkeypatch.setattr(relays.host, "_network", guarded)
    running = relays.start(source, destination)
    await until("a refusal", lambda: running.has_told("retrying", "user_destination", "egress"))
    destination.manner = take
    await until("home", lambda: len(destination.publishes) == 2 and destination.publishes[1].frames(VIDEO))
    await running.relay.stop()
