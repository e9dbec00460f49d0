// One step of a job on a token: what it intends, how it is done, finished after a crash, and undone. Each
// may have happened already, wholly or partly: doing or undoing it again leads to the same end.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/automate/journal.h"
#include "tools/shimctl/automate/plan.h"

namespace p11shim {

// With the id of a key that is to be made, so that it is known again. Throws Failure for a type or attribute
// that is none, or that could not be taken back.
nlohmann::json intent_of(const PlanStep& step);

// What must be written down before the step is done. Throws Failure if it cannot be done: no such key, several,
// a label or id that is taken, an attribute whose former value cannot be read.
nlohmann::json prepare_step(const Session& session, const nlohmann::json& intent, const std::string& job);

// Throws Failure or CallError.
void do_step(const Session& session, const nlohmann::json& intent, const nlohmann::json& undo);
// Throws KeyIsGone if there is nothing left to take back, when what is left of a pair was taken back.
void undo_step(const Session& session, const nlohmann::json& intent, const nlohmann::json& undo);

// When all steps are done, what cannot be taken back: attributes that change in one direction only, then
// destructions. `changed` becomes true with the first of them that succeeds. Throws Failure or CallError.
bool has_commit(const nlohmann::json& intent);
void commit_set(const Session& session, const std::vector<StepRecord>& steps, std::size_t step, bool& changed);
void commit_delete(const Session& session, const nlohmann::json& undo, bool& changed);

std::string step_text(const nlohmann::json& intent);  // "generate prod-001 (ec:P-256)"

}  // namespace p11shim
