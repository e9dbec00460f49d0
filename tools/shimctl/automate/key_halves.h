// The objects that a step is about: a private or secret key and, of a pair, its public half, as the journal has them:
// {class, id, label}, id and label in hexadecimal digits.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

// Whoever deleted or renamed it meanwhile: there is nothing left to change or to take back.
class KeyIsGone : public Failure {
 public:
  explicit KeyIsGone(const std::string& label);
};

std::string bytes_of(const nlohmann::json& hexadecimal);

std::vector<CK_OBJECT_HANDLE> find_object(const Session& session, CK_OBJECT_CLASS object_class, const std::string& id,
                                          const std::string& label);
// Null unless there is exactly one.
std::optional<CK_OBJECT_HANDLE> find_half(const Session& session, const nlohmann::json& half);

// Of the only key with this label. Throws Failure.
nlohmann::json halves_of(const Session& session, const std::string& label);

// Throws Failure if a key of any class has this label.
void refuse_taken_label(const Session& session, const std::string& label);
// The same of an id, keys that `job` is about to delete aside. A `half` may have its other half's id.
void refuse_taken_id(const Session& session, const std::string& id, const std::string& job,
                     const nlohmann::json* half = nullptr);

// Does nothing if it was done before. Throws KeyIsGone; Failure if another key is called so.
void relabel(const Session& session, const nlohmann::json& half, const std::string& from, const std::string& to);

// What `job` calls a key that it deletes, until it is sure.
std::string trash_label(const std::string& job, const std::string& label);

}  // namespace p11shim
