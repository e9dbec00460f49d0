#include "arguments.h"

namespace p11shim::compare {
namespace {

// Attributes of a generated object that differ from run to run: contents, and for numbers even the length,
// because leading zeros are cut.
bool differs_per_run(CK_ATTRIBUTE_TYPE type) {
  switch (type) {
    case CKA_VALUE:
    case CKA_CHECK_VALUE:
    case CKA_MODULUS:
    case CKA_PRIVATE_EXPONENT:
    case CKA_PRIME_1:
    case CKA_PRIME_2:
    case CKA_EXPONENT_1:
    case CKA_EXPONENT_2:
    case CKA_COEFFICIENT:
    case CKA_PRIME:
    case CKA_SUBPRIME:
    case CKA_BASE:
    case CKA_EC_POINT:
    case CKA_PUBLIC_KEY_INFO:
    case CKA_UNIQUE_ID:
    case CKA_ID: return true;
    default: return false;
  }
}

bool length_differs_per_run(CK_ATTRIBUTE_TYPE type) {
  switch (type) {
    case CKA_PRIVATE_EXPONENT:
    case CKA_PRIME_1:
    case CKA_PRIME_2:
    case CKA_EXPONENT_1:
    case CKA_EXPONENT_2:
    case CKA_COEFFICIENT:
    case CKA_BASE: return true;
    case CKA_VALUE:  // of DH and DSA keys
      return true;
    default: return false;
  }
}

constexpr CK_ULONG kLongestSensible = 1u << 24;

Json length_shown(CK_ULONG length) {
  if (length == CK_UNAVAILABLE_INFORMATION) return "unavailable";
  return length;
}

}  // namespace

void InputArgument::show(Json& in, const Names&) const {
  if (!input.data) {
    in[name] = {{"null", input.size}};
    return;
  }
  // A length that is meant as a lie must not be read.
  if (input.size > (1u << 20)) {
    in[name] = {{"claims", input.size}};
    return;
  }
  std::span<const CK_BYTE> bytes(input.data, input.size);
  in[name] = bytes.size() > 64 ? to_hex(bytes.first(64)) + "… " + std::to_string(bytes.size()) : to_hex(bytes);
}

Input OutputArgument::over(const Input& input) {
  if (room_.kind != Room::Kind::kInPlace || !input.data) return input;
  buffer_.preset({input.data, input.size});
  Input moved = input;
  moved.data = buffer_.data();
  return moved;
}

void OutputArgument::show(Json& in, const Names&) const {
  switch (room_.kind) {
    case Room::Kind::kBuffer: in[std::string(name_) + ".room"] = room_.size; return;
    case Room::Kind::kNull: in[std::string(name_) + ".room"] = nullptr; return;
    case Room::Kind::kNoLength: in[std::string(name_) + ".room"] = "no length"; return;
    case Room::Kind::kInPlace: in[std::string(name_) + ".room"] = "in place"; return;
  }
}

void OutputArgument::report(Report& report) const {
  const std::string name = name_;
  if (room_.kind != Room::Kind::kNoLength) {
    // NSS leaves a stack's leftovers in the length when some buffers are too small.
    const bool nonsense = report.rv != CKR_OK && length_ > kLongestSensible && length_ != CK_UNAVAILABLE_INFORMATION;
    report.out[name + ".length"] = nonsense ? Json("nonsense") : Json(length_);
  }
  if (!buffer_.guards_intact()) report.out[name + ".overrun"] = true;
  const bool filled = report.rv == CKR_OK && room_.kind != Room::Kind::kNull && length_ <= room_.size;
  if (filled && !report.blurred) report.out[name] = to_hex(buffer_.front(length_));
  if (buffer_.changed_from(filled ? length_ : 0)) report.out[name + ".scribbled"] = true;
}

void FillArgument::report(Report& report) const {
  if (!buffer_.guards_intact()) report.out["overrun"] = true;
  // A byte may by chance be what it was; several are not.
  if (buffer_.size() >= 8) report.out["filled"] = buffer_.changed_from(0);
}

void NumberOutArgument::report(Report& report) const {
  if (!place_) return;
  if (report.rv != CKR_OK) {
    // Some modules clear the place on errors; what matters is that nothing else does.
    if (value_ != kUntouched) report.out[std::string(name_) + ".scribbled"] = true;
    return;
  }
  *place_ = value_;
  if (!kind_) {
    report.out[name_] = value_;
    return;
  }
  report.out[name_] = (report.names.*kind_).issue(value_);
}

void TemplateArgument::show(Json& in, const Names&) const {
  if (!source_) {
    in[name_] = nullptr;
    return;
  }
  Json& shown = in[name_] = Json::object();
  for (const Attribute& attribute : source_->attributes()) {
    Json& value = shown[attribute_name(attribute.type)];
    value = attribute.value.size() > 64 ? Json("… " + std::to_string(attribute.value.size()))
                                        : Json(to_hex(attribute.value));
    if (attribute.null_pointer) value = nullptr;
    if (attribute.claimed_length) value = {{"claims", *attribute.claimed_length}};
  }
}

bool TemplateArgument::misused() const {
  if (!source_) return true;
  for (const Attribute& attribute : source_->attributes()) {
    const bool one_byte = attribute.type == CKA_TOKEN || attribute.type == CKA_PRIVATE;
    const bool number = attribute.type == CKA_CLASS || attribute.type == CKA_VALUE_LEN;
    if ((one_byte && attribute.value.empty()) || (number && attribute.value.size() < sizeof(CK_ULONG))) return true;
  }
  return false;
}

QueryArgument::QueryArgument(const Query& query) : query_(query) {
  for (const Wanted& wanted : query_) {
    GuardedBuffer& buffer = buffers_.emplace_back(wanted.room.value_or(0));
    attributes_.push_back({wanted.type, wanted.room ? buffer.data() : nullptr, wanted.room.value_or(0)});
  }
}

void QueryArgument::show(Json& in, const Names&) const {
  Json& shown = in["query"] = Json::array();
  for (const Wanted& wanted : query_)
    shown.push_back(attribute_name(wanted.type) + (wanted.room ? "/" + std::to_string(*wanted.room) : ""));
}

void QueryArgument::report(Report& report) const {
  // With any other code the buffers are as they were (§5.7.5), whatever object was meant.
  const bool fills = report.rv == CKR_OK || report.rv == CKR_ATTRIBUTE_SENSITIVE ||
                     report.rv == CKR_ATTRIBUTE_TYPE_INVALID || report.rv == CKR_BUFFER_TOO_SMALL;
  auto buffer = buffers_.begin();
  for (std::size_t i = 0; i < query_.size(); ++i, ++buffer) {
    const CK_ATTRIBUTE& attribute = attributes_[i];
    const std::string name = std::to_string(i) + "." + attribute_name(query_[i].type);
    const bool blurred = report.blurred && fills && differs_per_run(attribute.type);
    const bool available = attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION;
    if (!blurred || !length_differs_per_run(attribute.type) || !available)
      report.out[name + ".length"] = length_shown(attribute.ulValueLen);
    if (attribute.type != query_[i].type) report.out[name + ".type"] = attribute.type;
    if (!buffer->guards_intact()) report.out[name + ".overrun"] = true;
    const bool filled = query_[i].room && available && attribute.ulValueLen <= *query_[i].room;
    if (filled && !blurred) report.out[name] = to_hex(buffer->front(attribute.ulValueLen));
    if (buffer->changed_from(filled ? attribute.ulValueLen : 0)) report.out[name + ".scribbled"] = true;
  }
}

std::vector<Answer> QueryArgument::answers() const {
  std::vector<Answer> answers;
  auto buffer = buffers_.begin();
  for (const CK_ATTRIBUTE& attribute : attributes_) {
    const bool available = attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION;
    answers.push_back(
        {attribute.type, attribute.ulValueLen, available ? buffer->front(attribute.ulValueLen) : Bytes{}});
    ++buffer;
  }
  return answers;
}

}  // namespace p11shim::compare
