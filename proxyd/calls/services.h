// What a client's call works with. Built and owned by the daemon; everything outlives every call.
#pragma once

#include "proxyd/applications/applications.h"
#include "proxyd/applications/generations.h"
#include "proxyd/audit/audit_log.h"
#include "proxyd/calls/deadlines.h"

namespace p11shim {

struct Services {
  Runtime& runtime;
  TokenCatalog& catalog;
  Applications& applications;
  Registry& registry;
  AuditLog& audit;
  Deadlines& deadlines;
  Deadlines& hedges;
  Generations& generations;
  LimitsConfig limits;  // changed by a reload
};

}  // namespace p11shim
