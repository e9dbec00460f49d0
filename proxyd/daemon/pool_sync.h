// {"command":"pool-sync"}: what the members of a pool owe each other, and how the operator has differences repaired.
#pragma once

#include "proxyd/control/control.h"
#include "proxyd/tokens/token_catalog.h"

namespace p11shim {

// Arguments: "pool" (needed if there are several), "dry_run". Members that show what was destroyed destroy it again, objects
// that a member lacks are copied as far as the pool's replication allows, and debts that met an obstacle are tried again.
// The answer says what is to be done; it is done from then on as members can be reached.
void sync_pool(TokenCatalog& catalog, const nlohmann::json& arguments, const ControlReply& reply);

}  // namespace p11shim
