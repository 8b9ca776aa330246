// What the counters of a connection and of its port tell a person; one that is not in here is shown
// by its name, so that none is hidden. The same words as those of `portline status`.

import { bytes } from "./formats.js";

const WORDS = {
  kept: "{bytes} kept for the next peer",
  keep_discarded: "{bytes} not kept while nobody was connected (buffer-size)",
  unheard: "{bytes} from the port went to no peer (send-to)",
  unspoken: "{bytes} from peers not let through (receive-from)",
  dropped: "{bytes} dropped for peers that read too slowly, went or were not there",
  turned_away: "{count} turned away",
  replaced: "{count} replaced by newcomers",
  recognised: "{count} reset sequences run here (reset-sequences)",
  watchers: "{count} watching",
  watch_skipped: "{bytes} skipped by who watches (monitor, record), too slow",
  operators_dropped: "{bytes} not shown in terminals that were too slow",
  divided: "{count} packets sent as several datagrams",
  returned: "{count} datagrams did not arrive (ICMP)",
  strangers: "{count} datagrams of strangers not taken (accept)",
  echoes: "{count} datagrams of our own came back",
  overrun: "{count} datagrams came faster than they were read",
  handshakes_plain_text: "{count} spoke plain text and not TLS",
  handshakes_old_version: "{count} spoke no version of TLS that is allowed (tls-minimum)",
  handshakes_bad_certificate: "{count} certificates refused",
  handshakes_no_certificate: "{count} showed no certificate (client-ca)",
  handshakes_refused_by_peer: "{count} refused our certificate",
  handshakes_timed_out: "{count} TLS handshakes not over in time",
  handshakes_crowded_out: "{count} TLS handshakes gave way to others",
  handshakes_given_up: "{count} went before TLS was agreed on",
  handshakes_broken: "{count} TLS handshakes broken",
  denied: "{count} not let in by their address (allow, deny)",
  logins: "{count} logins",
  wrong_password: "{count} logins with a wrong password",
  other_certificate: "{count} logins through somebody in the middle (another certificate)",
  no_binding: "{count} logins that were not bound to TLS",
  no_login: "{count} did not log in, but said something else",
  login_too_late: "{count} did not log in in time",
  login_broken_off: "{count} came and went without a login",
  login_crowded: "{count} not let in because too many logged in at the same time",
  login_slowed: "{count} told to wait after wrong passwords from their address",
  bad_login: "{count} logins that were not understood",
  login_under_way: "{count} logins under way",
  addresses_slowed: "{count} addresses have to wait after wrong passwords",
  truncated: "{count} TLS connections cut off",
  waiting: "{bytes} wait for the device",
  discarded: "{bytes} for the port discarded (it was away or not open, or purged)",
  refused: "{count} requests that the driver refused",
};

const DRIVER = {
  framing: "framing errors",
  overrun: "overruns of the UART",
  parity: "parity errors",
  buffer_overrun: "overruns of the driver",
};

const TRAFFIC = new Set(["heard", "spoken"]);

/** Lines of all counters that are not zero. */
export function told(connection) {
  const lines = [];
  const numbers = { ...connection.counters };
  for (const [key, value] of Object.entries(connection.port))
    if (typeof value === "number") numbers[key] = value;
  for (const [key, value] of Object.entries(numbers)) {
    if (!value || TRAFFIC.has(key)) continue;
    const words = WORDS[key] ?? `{count} ${key.replaceAll("_", " ")}`;
    lines.push(words.replace("{bytes}", bytes(value)).replace("{count}", String(value)));
  }
  for (const [key, value] of Object.entries(connection.port.hardware?.counters ?? {})) {
    if (value) lines.push(`${value} ${DRIVER[key] ?? key.replaceAll("_", " ")}`);
  }
  return lines;
}
