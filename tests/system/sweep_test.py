"""The manager dies at system calls of what it does, or one of its calls fails; see sweep.py.

A seeded sample of a restart and of a recovery; with ABIDE_SWEEP=full every call of every scenario, and the failing calls.
"""
import os
import time

import sweep

FULL = os.environ.get("ABIDE_SWEEP") == "full"
SECONDS = float(os.environ.get("ABIDE_SWEEP_SECONDS", "1e9" if FULL else "20"))  # for each test
KILLS, FAILURES, RECOVERIES = (None, None, None) if FULL else (12, 6, 12)
FRESH_AFTER = 6  # managers that die young are started after growing pauses


def kills(world, name, draw, end):
    one = sweep.Sweep(world, name)
    done, wrong = 0, []
    for at in sweep.sample(one.calls, KILLS, draw):
        if time.monotonic() > end:
            break
        number, why = one.round("kill", at)
        done += number >= 0
        if why:
            wrong.append(f"killed at call {at} (number {number}): {why}")
    return one.calls, done, wrong


def test_killed_at_system_calls():
    draw, total, wrong = sweep.draw_of(), 0, []
    end = time.monotonic() + SECONDS * 2
    world = sweep.World()
    try:
        for name in sweep.SCENARIOS if FULL else ("restart",):
            calls, done, bad = kills(world, name, draw, end)
            print(f"   {name}: {calls} calls, killed at {done} of them, {len(bad)} differ", flush=True)
            total += done
            wrong += [f"{name}: {one}" for one in bad]
    finally:
        print(world.instance.supervisor_log()[-2000:] if wrong else "", end="")
        world.close()
    assert not wrong, "\n".join(wrong)
    assert total >= 5, total


def test_killed_in_recovery():
    draw, wrong, done = sweep.draw_of(), [], 0
    end = time.monotonic() + SECONDS
    world, used = sweep.World(), 0
    try:
        calls = sweep.recovery_round(world, 1_000_000)[0]
        for at in sweep.sample(calls, RECOVERIES, draw):
            if time.monotonic() > end:
                break
            if used >= FRESH_AFTER:
                world.close()
                world, used = sweep.World(), 0
            used += 1
            _, number, why = sweep.recovery_round(world, at)
            done += number >= 0
            if why:
                wrong.append(f"call {at} of the recovery (number {number}): {why}")
        print(f"   recovery: {calls} calls, killed at {done} of them, {len(wrong)} differ", flush=True)
    finally:
        world.close()
    assert not wrong, "\n".join(wrong)
    assert done >= 3, done


def failures(world, name, draw, end):
    one = sweep.Sweep(world, name)
    done, wrong = 0, []
    for error in sweep.ERRORS:
        for at in sweep.sample(one.calls, FAILURES, draw):
            if time.monotonic() > end:
                return done, wrong
            try:
                number, why = one.round("fail", at, sweep.error_number(error))
            except AssertionError as wrong_end:
                number, why = 0, str(wrong_end)
            done += number >= 0
            if why:
                wrong.append(f"call {at} (number {number}) fails with {error}: {why}")
                print(f"   {wrong[-1]}", flush=True)
                if len(wrong) > 3:
                    return done, wrong
    return done, wrong


def failing_system_calls():
    draw, total, wrong = sweep.draw_of(), 0, []
    end = time.monotonic() + SECONDS * 2
    world = sweep.World()
    try:
        for name in ("restart", "stop-start", "dies"):
            done, bad = failures(world, name, draw, end)
            print(f"   {name}: {done} calls failed, {len(bad)} rounds differ", flush=True)
            total += done
            wrong += [f"{name}: {one}" for one in bad]
    finally:
        print(world.instance.supervisor_log()[-2000:] if wrong else "", end="")
        world.close()
    assert not wrong, "\n".join(wrong)
    assert total >= 5, total


if FULL:  # otherwise it isn't there, so that nobody counts it
    test_failing_system_calls = failing_system_calls
