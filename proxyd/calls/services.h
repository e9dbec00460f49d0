// What a client's call works with. Built and owned by the daemon; everything outlives every call.
#pragma once

#include "proxyd/applications/applications.h"
#include "proxyd/applications/generations.h"
#include "proxyd/audit/audit_log.h"
#include "proxyd/calls/deadlines.h"
#include "proxyd/loop/turns.h"

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
  Turns& slices;        // of long work: one in each turn of the loop
  LimitsConfig limits;  // changed by a reload
};

}  // namespace p11shim
