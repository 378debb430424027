"""Adversaries and faults, each as a test by name. This is the index; `test_index.py` holds it.

Under each of them the event loop is not held for 50 ms, no timeout is exceeded by 100 ms, and the
memory stays within a bound (`bounds.py`, which `test_bounds.py` tests).

On the wire. Every script of `wire.py` is a test of one lookup and of a watcher:
    late, after the timeout, twice, a forgery after the truth:
        tests/adversaries/test_wire.py::test_one_lookup
    another number, name, type, class, port or address; no question, two; an echo; one byte:
        tests/adversaries/test_wire.py::test_one_lookup
    byte by byte, halves, stalls, resets, endless streams, bursts of 64 KB over TCP, answers before
    they are asked for:
        tests/adversaries/test_wire.py::test_one_lookup
    truncated over both transports, the answer to the question before on a kept connection:
        tests/adversaries/test_wire.py::test_a_watcher
    broken messages, codes that are none, odd EDNS, aliases in a circle, a thousand of them, a
    failure of another kind each time:
        tests/adversaries/test_wire.py::test_a_watcher
    messages that are expensive to read:
        tests/unit/dns/test_hostile_servers.py::test_no_message_takes_long_to_read
    a flood of datagrams with the right number:
        tests/unit/dns/test_hostile_servers.py::test_a_flood_does_not_hold_off_the_timeout
    a wildcard record below a large service:
        tests/large/test_enumeration.py::test_a_wildcard_record_invents_no_pods
    a foreign name server that denies every name:
        tests/contract/test_name_servers.py::test_what_the_only_server_says

Hostile names, at each place where a name goes:
    a terminal, JSON, lists of names and addresses, log lines:
        tests/adversaries/test_names.py::test_the_terminal_and_json
    errors:
        tests/adversaries/test_names.py::test_an_error_names_them_escaped_and_in_one_line
    the environment and the standard input of a hook:
        tests/adversaries/test_names.py::test_the_environment_and_the_standard_input_of_a_hook
    the arguments of a hook, which names never become:
        tests/hooks/test_command.py::test_the_list_is_never_an_argument
    SQL:
        tests/adversaries/test_names.py::test_sql
    labels of Prometheus:
        tests/adversaries/test_names.py::test_labels_of_prometheus
    a database server's error text in a log:
        tests/unit/mysql/test_impostor.py::test_an_error_of_a_server_is_escaped_and_shortened
    HTML, the status page of the sidecar:
        tests/unit/mysql/sidecar/test_status_page.py::test_everything_on_it_is_escaped

Impostors, who answer at a database server's address:
    every plugin that discloses a password in every phase of a login, endless rows, beside whole
    sidecars and real servers:
        tests/mysql/test_impostors.py::test_impostors_at_the_address_of_the_primary
        tests/mysql/test_impostors.py::test_an_impostor_at_the_address_of_a_replica
    each plugin and phase, endless and malformed responses:
        tests/unit/mysql/test_impostor.py::test_a_plugin_of_the_handshake_that_discloses_is_refused
        tests/unit/mysql/test_impostor.py::test_a_switch_to_a_plugin_that_is_not_allowed_is_refused
        tests/unit/mysql/test_impostor.py::test_a_second_switch_is_refused
        tests/unit/mysql/test_impostor.py::test_the_key_of_an_unknown_server_is_not_used
        tests/unit/mysql/test_impostor.py::test_a_response_without_end_is_refused_at_a_bound

Faults of the machine:
    no descriptor left, for a watcher, a lookup and a hook:
        tests/adversaries/test_machine.py::test_without_descriptors_lookups_fail_and_nobody_leaves
        tests/adversaries/test_machine.py::test_without_descriptors_a_lookup_says_so
        tests/adversaries/test_machine.py::test_without_descriptors_a_hook_fails_and_says_so
    a process that was stopped (SIGSTOP), an event loop that was blocked:
        tests/watching/test_stalls.py::test_a_stopped_process_sees_no_outage
        tests/watching/test_stalls.py::test_a_blocked_loop_is_no_outage
    a machine that was suspended for a minute, and for a week:
        tests/adversaries/test_machine.py::test_a_machine_that_was_suspended_has_not_seen_anybody_leave
    a date that jumps by years:
        tests/adversaries/test_machine.py::test_a_date_that_jumps_changes_no_membership
    a resolv.conf that is replaced, a FIFO, or on a mount that hangs:
        tests/unit/pod/test_environment.py::test_name_servers_are_read_again_when_the_file_changes
        tests/unit/pod/test_environment.py::test_a_fifo_is_no_file_and_holds_nobody
        tests/unit/pod/test_environment.py::test_while_a_mount_hangs_the_last_name_servers_are_used
        tests/adversaries/test_machine.py::test_a_mount_that_hangs_holds_no_lookup
        tests/adversaries/test_machine.py::test_a_mount_that_hangs_holds_no_loop_that_starts_a_watcher
        tests/adversaries/test_machine.py::test_a_mount_that_comes_back_in_time_tells_all
        tests/adversaries/test_machine.py::test_a_mount_that_hangs_holds_no_loop_that_asks_for_the_identity
        tests/adversaries/test_machine.py::test_a_resolv_conf_that_is_a_fifo_holds_no_resolver
        tests/adversaries/test_machine.py::test_without_an_event_loop_the_files_are_waited_for
    an interface that goes down and comes back:
        tests/adversaries/test_machine.py::test_an_interface_that_goes_down_and_comes_back
    forks:
        tests/watching/test_forks.py::test_a_fork_of_a_fork
    a full disk, a stream that is closed or that nobody reads:
        tests/cli/test_streams.py::test_the_status_of_every_command
        tests/cli/test_streams.py::test_what_is_said_of_a_full_disk_and_of_a_closed_stream
    many watchers while datagrams are lost and descriptors run out:
        tests/adversaries/test_machine.py::test_many_watchers_under_loss_and_without_descriptors
    DNS that fails for a day:
        tests/watching/test_long_outage.py::test_a_day_of_servfail
"""
