"""The embedded server outlives no user, loses no committed row, and needs nobody's care."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.store import binaries
from gateway.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.store.folders import (
    Account,
    Program,
    SeenServer,
    copy_packages,
    eventually,
    find_python,
    is_locked,
)
from tests.store.sample import OS_USER

IS_ROOT = os.geteuid() == 0
ORDINARY_USER_ID = 65534

pytestmark = pytest.mark.crash

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can be two users")


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def ordinary_user(open_folder: Path) -> Account:
    """An account without rights; whoever runs the tests if that is not root."""
    if not IS_ROOT:
        return Account()
    python = find_python(ORDINARY_USER_ID)
    if python is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    return Account(python, (copy_packages(open_folder / "packages"),), ORDINARY_USER_ID)


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Account:
    """Who the users of the server are: whoever runs the tests, if `for_each_account` is not set."""
    if getattr(request, "param", "") != "ordinary user":
        return Account()
    ordinary: Account = request.getfixturevalue("ordinary_user")
    return ordinary


for_each_account = pytest.mark.parametrize(
    "account", ["root", "ordinary user"] if IS_ROOT else ["ordinary user"], indirect=True
)


@dataclass(slots=True)
class Scene:
    """One data folder and the programs that use it."""

    account: Account
    seen: SeenServer
    programs: list[Program]

    async def program(self, **options: str) -> Program:
        """A new program that has not started yet."""
        program = await Program.run(self.account, self.seen.data_dir, options)
        self.programs.append(program)
        return program

    async def user(self, **options: str) -> Program:
        """A new program that uses the server."""
        program = await self.program(**options)
        assert await program.ask("start") == "started"
        return program


@pytest.fixture
async def scene(account: Account, open_folder: Path) -> AsyncIterator[Scene]:
    """A new data folder; at the end its users are killed, and nothing may be left running."""
    folder = account.make_folder(Path(tempfile.mkdtemp(dir=open_folder)) / "data")
    folder.parent.chmod(0o755)
    scene = Scene(account, SeenServer(folder), [])
    yield scene
    for program in scene.programs:
        await program.kill()
    await scene.seen.stopped_at_once()


async def keep_word(user: Program, word: str) -> None:
    """Commit a row."""
    assert await user.ask(f"INSERT INTO kept VALUES ('{word}') RETURNING word") == word  # noqa: S608


async def kept_words(user: Program) -> str:
    """All rows."""
    return await user.ask("SELECT string_agg(word, ' ' ORDER BY word) FROM kept")


@for_each_account
async def test_the_server_ends_with_its_only_user_and_keeps_its_rows(scene: Scene) -> None:
    """Once the last user has ended, no process is left; the next one finds what was committed."""
    first = await scene.user()
    await keep_word(first, "one")
    await first.end()
    await scene.seen.stopped()
    assert await kept_words(await scene.user()) == "one"


@for_each_account
async def test_a_killed_user_leaves_no_process_behind(scene: Scene) -> None:
    """SIGKILL of the user that started the keeper ends the server as surely as a proper end."""
    user = await scene.user()
    await keep_word(user, "one")
    await user.kill()
    await scene.seen.stopped()
    assert await kept_words(await scene.user()) == "one"


@for_each_account
async def test_a_server_started_by_a_command_stays_for_the_next_user(scene: Scene) -> None:
    """A long-lived user's connection survives the end of the command that started the server."""
    command = await scene.user()
    gateway = await scene.user()
    await command.end()
    assert await gateway.ask("SELECT 'alive' FROM pg_sleep(1.6)") == "alive"


@pytest.mark.parametrize("killed", [0, 1], ids=["the first", "the second"])
async def test_of_two_users_either_may_be_killed(scene: Scene, killed: int) -> None:
    """The other one's connection goes on, and the server ends with it."""
    users = [await scene.user(), await scene.user()]
    await users.pop(killed).kill()
    assert await users[0].ask("SELECT 'alive' FROM pg_sleep(1.6)") == "alive"
    await users[0].end()
    await scene.seen.stopped()


@for_each_account
async def test_a_killed_keeper_takes_the_server_along_and_is_replaced(scene: Scene) -> None:
    """No orphan stays, and a user that is still there calls start again and goes on."""
    user = await scene.user()
    await keep_word(user, "one")
    scene.seen.signal(scene.seen.keeper_pid(), signal.SIGKILL)
    if sys.platform == "linux":
        await eventually(scene.seen.is_server_gone, "the server ends after its keeper")
    assert await user.ask("start") == "started"
    assert await kept_words(user) == "one"


@for_each_account
async def test_a_killed_server_is_started_again(scene: Scene) -> None:
    """The keeper replaces a killed server while it has users; committed rows are there."""
    user = await scene.user(fsync="on")
    await keep_word(user, "one")
    killed = scene.seen.server_pid()
    scene.seen.signal(killed, signal.SIGKILL)
    await eventually(lambda: scene.seen.server_pid() not in (0, killed), "another server")
    assert await user.ask("start") == "started"
    assert await kept_words(user) == "one"


async def test_keeper_and_server_killed_together_leave_a_cluster_that_starts(scene: Scene) -> None:
    """Even when all are killed at once, committed rows are there at the next start."""
    user = await scene.user(fsync="on")
    await keep_word(user, "one")
    server = scene.seen.server_pid()
    scene.seen.signal(scene.seen.keeper_pid(), signal.SIGKILL)
    scene.seen.signal(server, signal.SIGKILL)
    await user.kill()
    assert await kept_words(await scene.user()) == "one"


@for_each_account
async def test_a_half_made_cluster_is_never_used(scene: Scene) -> None:
    """A keeper killed while it makes the cluster leaves none; the start under way makes a new."""
    user = await scene.program()
    start = asyncio.create_task(user.ask("start"))
    unfinished = scene.seen.files.unfinished_cluster / "base"
    await eventually(unfinished.exists, "a cluster is being made")
    scene.seen.signal(scene.seen.keeper_pid(), signal.SIGKILL)
    assert not scene.seen.files.cluster.exists()
    assert await start == "started"
    assert not scene.seen.files.unfinished_cluster.exists()


@for_each_account
async def test_concurrent_first_starts_share_one_cluster(scene: Scene) -> None:
    """Five processes that start on an empty folder at once see each other's rows."""
    programs = [await scene.program() for _ in range(5)]
    answers = await asyncio.gather(*(program.ask("start") for program in programs))
    assert set(answers) == {"started"}
    await asyncio.gather(*(keep_word(program, f"{n}") for n, program in enumerate(programs)))
    assert await kept_words(programs[0]) == "0 1 2 3 4"


async def test_users_that_come_while_the_server_stops_get_a_new_one(scene: Scene) -> None:
    """Also in the moment of the stop a new user's start succeeds, and its server stays."""
    user = await scene.user()
    for _ in range(6):
        following = await scene.program()
        await user.end()
        scene.seen.signal(scene.seen.keeper_pid(), signal.SIGTERM)
        assert await following.ask("start") == "started"
        assert await following.ask("SELECT 'alive' FROM pg_sleep(0.1)") == "alive"
        user = following


async def test_a_stale_pid_file_that_names_a_living_process_does_no_harm(scene: Scene) -> None:
    """A pid given to another process since a crash neither stops the start nor is signalled."""
    user = await scene.user()
    lines = (scene.seen.files.cluster / "postmaster.pid").read_text().splitlines()
    await user.end()
    await scene.seen.stopped_at_once()
    bystander = await scene.program()
    lines[0] = str(bystander.process.pid)
    (scene.seen.files.cluster / "postmaster.pid").write_text("\n".join(lines) + "\n")
    await scene.user()
    assert bystander.process.returncode is None


async def test_an_interrupt_from_the_terminal_leaves_the_server_alone(scene: Scene) -> None:
    """Ctrl-C goes to the gateway, which still needs the database to end in good order."""
    user = await scene.user()
    os.killpg(user.process.pid, signal.SIGINT)
    scene.seen.signal(scene.seen.keeper_pid(), signal.SIGTERM)
    assert await user.ask("SELECT 'alive' FROM pg_sleep(0.5)") == "alive"
    assert os.getsid(scene.seen.server_pid()) == user.process.pid


async def test_a_command_in_a_pipe_ends_before_the_server_does(scene: Scene) -> None:
    """The keeper holds none of its starter's pipes open, nor the locks of its users."""
    user = await scene.user()
    await user.end()
    assert is_locked(scene.seen.files.keeper_lock)


@for_each_account
async def test_only_the_servers_user_can_reach_socket_and_files(scene: Scene) -> None:
    """The folder of cluster and socket is closed to everyone but its owner."""
    await scene.user()
    for folder in (scene.seen.files.folder, scene.seen.files.socket_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == scene.seen.files.cluster.stat().st_uid != 0


async def test_message_texts_never_reach_the_log(scene: Scene) -> None:
    """Errors whose words quote a value are told to the client alone."""
    user = await scene.user(log_autovacuum_min_duration="0")
    await keep_word(user, "gown-is-ready")
    assert "UniqueViolation" in await user.ask("INSERT INTO kept VALUES ('gown-is-ready')")
    assert "InvalidText" in await user.ask("SELECT 'gown-is-ready'::int8 -- gown-is-ready")
    assert "RaiseError" in await user.ask("DO $$BEGIN RAISE EXCEPTION 'gown-is-ready'; END$$")
    await user.ask("DO $$BEGIN RAISE WARNING 'gown-is-ready'; END$$")
    log = scene.seen.files.log.read_text()
    assert "ready to accept connections" in log
    assert "gown-is-ready" not in log


async def test_the_log_is_bounded(scene: Scene) -> None:
    """A full log is moved aside, and the server goes on with an empty one."""
    await scene.user()
    with scene.seen.files.log.open("a") as log:
        log.write("x" * 5_000_000)
    await eventually(lambda: scene.seen.files.log.stat().st_size < 1_000_000, "an empty log")
    assert scene.seen.files.older_log.stat().st_size >= 5_000_000


async def test_a_server_that_cannot_start_says_why(scene: Scene) -> None:
    """The reason is PostgreSQL's own, with the log's place."""
    program = await scene.program(work_mem="much")
    answer = await program.ask("start")
    assert answer.startswith("error the embedded PostgreSQL cannot run")
    assert 'invalid value for parameter "work_mem"' in answer
    assert str(scene.seen.files.log) in answer


async def test_a_long_folder_name_is_no_obstacle(scene: Scene) -> None:
    """Socket names are short by law; a long path gets its socket elsewhere, as private."""
    folder = scene.seen.data_dir / ("long" * 30)
    scene.seen = SeenServer(scene.account.make_folder(folder))
    user = await scene.user()
    assert stat.S_IMODE(scene.seen.files.socket_folder.stat().st_mode) == 0o700
    await user.end()
    await scene.seen.stopped_at_once()
    assert not scene.seen.files.socket_folder.exists()


@needs_root
@pytest.mark.usefixtures("ordinary_user")
async def test_root_and_the_owner_of_the_folder_share_a_server(
    ordinary_user: Account, open_folder: Path
) -> None:
    """A command of root's works beside an ordinary user's gateway, whichever starts first."""
    for number, (first, second) in enumerate(
        [(Account(), ordinary_user), (ordinary_user, Account())]
    ):
        folder = ordinary_user.make_folder(open_folder / f"shared{number}")
        users = [await Program.run(account, folder) for account in (first, second)]
        assert [await user.ask("start") for user in users] == ["started"] * 2
        await keep_word(users[0], "one")
        await users[0].end()
        assert await kept_words(users[1]) == "one"
        await users[1].end()
        await SeenServer(folder).stopped_at_once()


@needs_root
async def test_a_wheel_private_to_root_is_copied_for_the_server(
    ordinary_user: Account, open_folder: Path
) -> None:
    """An installation below root's home serves as well as one that all can read."""
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(ordinary_user.packages[0], private / "packages")
    root = replace(Account(), packages=(private / "packages",))
    folder = root.make_folder(open_folder / "unreadable-wheel")
    user = await Program.run(root, folder)
    assert await user.ask("start") == "started"
    assert SeenServer(folder).server_program().is_relative_to(folder)
    await user.end()
    await SeenServer(folder).stopped_at_once()


@needs_root
async def test_a_folder_that_the_servers_user_cannot_enter_is_named(tmp_path: Path) -> None:
    """The refusal names a closed folder, as pytest's are, and what to do."""
    server = EmbeddedPostgres(tmp_path / "data", os_user="nobody")
    with pytest.raises(EmbeddedPostgresError, match=r"may not enter .* \[store\] data_dir"):
        await server.start()


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/nowhere"])
async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path, name: str) -> None:
    """The refusal names the folder, and the setting to mend."""
    (tmp_path / "file").touch()
    folder = tmp_path / name
    with pytest.raises(EmbeddedPostgresError, match=rf"{folder} .* \[store\] data_dir"):
        await EmbeddedPostgres(folder, os_user=OS_USER).start()


async def test_a_platform_without_the_wheel_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without binaries the refusal names the package and the way around it."""
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    with pytest.raises(EmbeddedPostgresError, match="database_url"):
        await EmbeddedPostgres(tmp_path).start()


async def test_a_user_id_without_a_name_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container started with a bare user id gets a sentence instead of initdb's failure."""

    def unknown(user_id: int) -> pwd.struct_passwd:
        raise KeyError(user_id)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(EmbeddedPostgresError, match="has no name"):
        await EmbeddedPostgres(tmp_path).start()


async def test_a_cluster_of_another_major_version_is_not_passed_over(scene: Scene) -> None:
    """An empty store must not stand in for one that an earlier version filled."""
    user = await scene.user()
    await user.end()
    await scene.seen.stopped_at_once()
    cluster = scene.seen.files.cluster
    cluster.rename(cluster.with_name("cluster-17"))
    answer = await (await scene.program()).ask("start")
    assert "made by another PostgreSQL" in answer
