"""Pairs of stage, loss, event, client and name on real processes; see matrix.py.  A seeded sample within a bound of time;
ABIDE_MATRIX=pairs takes every pair, ABIDE_MATRIX=full every cell.
"""
import os
import time

import matrix

MODE = os.environ.get("ABIDE_MATRIX", "")
SECONDS = float(os.environ.get("ABIDE_MATRIX_SECONDS", "1e9" if MODE else "60"))


def test_matrix_of_pairs():
    rows = matrix.rows()
    if not MODE:
        matrix.draw_of().shuffle(rows)
    end, done, wrong = time.monotonic() + SECONDS, 0, []
    for row in rows:
        if time.monotonic() > end:
            break
        why = matrix.judge(row)
        done += 1
        if why:
            wrong.append(f"{' × '.join(row)}: {why}")
            print(f"   differs: {wrong[-1]}", flush=True)
    print(f"   {done} of {len(rows)} cells, {len(wrong)} differ from their twins", flush=True)
    assert not wrong, "\n".join(wrong)
    assert done >= min(5, len(rows)), done
