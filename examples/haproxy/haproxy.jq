# Backends for HAProxy from the output of `peerdisco peers -o json`: the primary, and the replicas.
# A pod whose address or port is not known is left out.
def address: .addresses[0] | if contains(":") then "[\(.)]" else . end;
def server: select(.addresses != [] and .ports != {})
  | "    server \(.name) \(address):\(.ports | to_entries[0].value) check";
.primary as $primary
| "backend primary", "    mode tcp", (.peers[] | select(.name == $primary) | server),
  "backend replicas", "    mode tcp", (.peers[] | select(.name != $primary) | server)
