"""What services ask again and again stays quick however much there is: plans, not clocks."""

import psycopg

from tests import plans


def test_nothing_periodic_reads_a_large_table_whole(database_url):
    plans.fill(database_url, 20_000)
    took, wrong = plans.run(database_url)
    assert wrong == []
    # Whatever the planner of the relay does again and again is among them.
    assert {"heartbeat", "claim of commands", "progress"} <= set(took)


def test_a_table_that_is_read_whole_is_told(database_url):
    plans.fill(database_url, 5_000)
    with psycopg.connect(database_url) as connection:

        def found(query):
            ((plan,),) = connection.execute("EXPLAIN (FORMAT JSON) " + query).fetchone()
            return plans.faults(plan["Plan"])

        assert found("UPDATE commands SET state = 'expired' WHERE deadline < now()")
        assert found("SELECT max(energy_wh) FROM meter_values")
        assert not found("SELECT 1 FROM commands WHERE command_id = 7")
        assert not found("SELECT 1 FROM events ORDER BY event_id LIMIT 3")
