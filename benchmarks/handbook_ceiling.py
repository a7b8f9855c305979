"""What could be known at most on the Fraud Detection Handbook: a scorer that has the simulator's own rules.

The data are simulated (Le Borgne et al., Reproducible Machine Learning for Credit Card Fraud Detection, ch. 3): a
payment above 220 is fraud; each day two terminals are compromised for 28 days, and every payment there is fraud; each
day three customers are for 14 days, and a third of their payments are five times as high, and fraud. This scorer knows
these rules, the true mean of every customer, and of every label that has arrived (seven days late, as for everyone)
also which rule made it. So it is no model, and nobody's input: it says which figures chance leaves to be reached.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit
from quality import HANDBOOK_FOLDS, PROTOCOLS, Protocol, handbook_judge, handbook_rows
from results_io import RESULTS, merge_rows

from graphs.events import MICROSECONDS_PER_DAY as DAY
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

VALIDATION = ("2018-06-20", "2018-06-27", "2018-07-04", "2018-07-11")
DELAY = 7 * DAY
BY_TERMINAL, BY_CUSTOMER = 2, 3
TERMINAL_DAYS, TERMINALS_A_DAY = 28, 2
CUSTOMER_DAYS, CUSTOMERS_A_DAY, CUSTOMER_SHARE, CUSTOMER_FACTOR = 14, 3, 1 / 3, 5.0


def main() -> None:
    protocol = next(one for one in PROTOCOLS if (one.dataset, one.name) == ("fdh", "strict"))
    events, score = protocol.events, rules(protocol)
    everything, rows = np.ones(len(events), bool), []
    for part, folds in (("validation", VALIDATION), ("test", HANDBOOK_FOLDS)):
        judged = []
        for start in folds:
            first = int(np.datetime64(start, "D").astype(int))
            judged.append(handbook_judge(events, everything, handbook_rows(events, first))(score))
        mean = {name: round(float(np.mean([one[name] for one in judged])), 4) for name in ("auc", "ap", "cp100")}
        print(part, mean)
        rows.append({"dataset": "fdh", "part": part, "folds": list(folds), **mean})
    merge_rows(RESULTS / "handbook_ceiling.json", rows, ("dataset", "part"))


def rules(protocol: Protocol) -> np.ndarray:
    """(events,) probability of fraud by the simulator's rules and what was known before each payment."""
    events = protocol.events
    rule = _rule_of(protocol, events)
    time, amount = events.event_time, events.amount
    before = np.where(rule == BY_CUSTOMER, amount / CUSTOMER_FACTOR, amount)
    customer = events.entities[:, 0]
    mean = np.bincount(customer, weights=before) / np.bincount(customer)
    lines = TemporalGraph.build(events).timelines
    terminals, customers = lines["terminal"], lines["customer"]
    by_terminal = _terminals(terminals.offsets, terminals.events, time, rule)
    by_customer = _customers(customers.offsets, customers.events, time, rule, amount, mean)
    by_amount = np.where(amount > 220, 1 - 1e-9, 0.0)
    return 1 - (1 - by_amount) * (1 - by_terminal) * (1 - by_customer)


def _rule_of(protocol: Protocol, events: EventLog) -> np.ndarray:
    """(events,) which rule made each payment fraud, 0: none."""
    path = f"{protocol.specs['data']['root']}/transactions.parquet"
    table = pq.read_table(path, columns=["TRANSACTION_ID", "TX_FRAUD_SCENARIO"])
    place = pc.index_in(events.event_ids, table["TRANSACTION_ID"].cast("string").combine_chunks()).to_numpy()
    return table["TX_FRAUD_SCENARIO"].to_numpy()[place]


@njit
def _terminals(offsets: np.ndarray, rows: np.ndarray, time: np.ndarray, rule: np.ndarray) -> np.ndarray:
    """P(the terminal is compromised), given its labels that have arrived: an innocent payment rules out a start in the
    28 days up to it, a fraud means one in them; beside it, a start that no label has told of yet."""
    probability = np.zeros(len(time))
    hazard = TERMINALS_A_DAY / (len(offsets) - 1)
    reach = 3 * TERMINAL_DAYS
    possible = np.empty(reach, np.bool_)  # a start so many days ago
    for terminal in range(len(offsets) - 1):
        for at in range(offsets[terminal], offsets[terminal + 1]):
            now = time[rows[at]]
            possible[:] = True
            newest_fraud = reach
            for earlier in range(at - 1, offsets[terminal] - 1, -1):
                ago = now // DAY - time[rows[earlier]] // DAY
                if ago >= reach:
                    break
                if now - time[rows[earlier]] < DELAY:
                    continue
                if rule[rows[earlier]] == 0:
                    possible[ago : ago + TERMINAL_DAYS] = False
                elif rule[rows[earlier]] == BY_TERMINAL:
                    newest_fraud = min(newest_fraud, ago)
            started = possible[newest_fraud : newest_fraud + TERMINAL_DAYS]
            lasts = started[: max(TERMINAL_DAYS - newest_fraud, 0)]
            known = lasts.sum() / started.sum() if started.sum() else 0.0
            untold = possible[: min(newest_fraud, TERMINAL_DAYS)].sum()
            probability[rows[at]] = 1 - (1 - known) * (1 - hazard) ** untold
    return probability


@njit
def _customers(
    offsets: np.ndarray, rows: np.ndarray, time: np.ndarray, rule: np.ndarray, amount: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    """P(the payment is one of a compromised customer's raised ones): each start in the last 14 days is weighed by what
    the payments since, labelled or not, make of it; amounts are normal, their deviation half their mean."""
    probability = np.zeros(len(time))
    hazard = CUSTOMERS_A_DAY / (len(offsets) - 1)
    for customer in range(len(offsets) - 1):
        usual = mean[customer]
        for at in range(offsets[customer], offsets[customer + 1]):
            now, weight = time[rows[at]], 0.0
            for start in range(now // DAY - CUSTOMER_DAYS + 1, now // DAY + 1):
                likelihood = hazard
                for earlier in range(at - 1, offsets[customer] - 1, -1):
                    row = rows[earlier]
                    if time[row] // DAY < start:
                        break
                    raised = CUSTOMER_SHARE * _raised(amount[row], usual)
                    if now - time[row] < DELAY:
                        likelihood *= raised + 1 - CUSTOMER_SHARE
                    elif rule[row] == BY_CUSTOMER:
                        likelihood *= raised
                    elif rule[row] == 0:
                        likelihood *= 1 - CUSTOMER_SHARE
                weight += likelihood
            share = CUSTOMER_SHARE * weight / (weight + 1 - hazard * CUSTOMER_DAYS)
            odds = share / (1 - share) * _raised(amount[rows[at]], usual)
            probability[rows[at]] = odds / (1 + odds)
    return probability


@njit
def _raised(amount: float, mean: float) -> float:
    """Likelihood ratio of an amount being five times a normal one, against being normal; bounded."""
    far, near = (amount / CUSTOMER_FACTOR - mean) / (mean / 2), (amount - mean) / (mean / 2)
    return min(np.exp((near * near - far * far) / 2) / CUSTOMER_FACTOR, 1e9)


if __name__ == "__main__":
    main()
