#include "calls/lane_calls.h"

namespace p11shim {
namespace {
constexpr std::size_t kMaxText = 4096;  // paths, parameters, messages
}

void write_load_order(Out& out, const LoadOrder& order) {
  out.str(order.path);
  out.str(order.library_parameters);
  out.uint(order.flags);
  out.boolean(order.null_arguments);
  out.array(order.counters.size());
  for (const CK_ATTRIBUTE_TYPE type : order.counters) out.uint(type);
}

bool read_load_order(In& in, LoadOrder& order) {
  order.path = in.str(kMaxText);
  order.library_parameters = in.str(kMaxText);
  order.flags = in.uint();
  order.null_arguments = in.boolean();
  order.counters.clear();
  for (std::size_t left = in.array(limits::kMaxAttributes); left != 0 && in.ok(); --left)
    order.counters.push_back(in.uint());
  return in.done();
}

void write_loaded_module(Out& out, const LoadedModule& loaded) {
  write_info(out, loaded.info);
  out.boolean(loaded.has_3_0);
  out.str(std::string_view(loaded.failure).substr(0, kMaxText));
}

bool read_loaded_module(In& in, LoadedModule& loaded) {
  read_info(in, loaded.info);
  loaded.has_3_0 = in.boolean();
  loaded.failure = in.str(kMaxText);
  return in.done();
}

void write_slots(Out& out, const std::vector<SlotEntry>& slots) {
  for (const SlotEntry& slot : slots) {
    out.uint(slot.slot);
    write_info(out, slot.info);
    out.uint(slot.token_rv);
    write_info(out, slot.token);
  }
}

bool read_slots(In& in, std::vector<SlotEntry>& slots) {
  slots.clear();
  while (in.ok() && in.remaining() != 0 && slots.size() < limits::kMaxListItems) {
    SlotEntry& slot = slots.emplace_back();
    slot.slot = in.uint();
    read_info(in, slot.info);
    slot.token_rv = in.uint();
    read_info(in, slot.token);
  }
  return in.done();
}

void write_description(Out& out, const Description& description) {
  out.uint(description.object);
  out.boolean(description.readable);
  out.uint(description.object_class);
  out.boolean(description.is_token);
  out.boolean(description.is_private);
  out.boolean(description.has_key_type);
  out.uint(description.key_type);
  out.bin(description.id);
  out.bin(description.label);
  out.boolean(description.counted);
  out.boolean(description.proof);
  out.bin(description.content);
  out.bin(description.hints);
}

bool read_description(In& in, Description& description) {
  description.object = in.uint();
  description.readable = in.boolean();
  description.object_class = in.uint();
  description.is_token = in.boolean();
  description.is_private = in.boolean();
  description.has_key_type = in.boolean();
  description.key_type = in.uint();
  description.id = in.bin();
  description.label = in.bin();
  description.counted = in.boolean();
  description.proof = in.boolean();
  description.content = in.bin();
  description.hints = in.bin();
  return in.ok();
}

}  // namespace p11shim
