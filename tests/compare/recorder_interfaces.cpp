#include <cstring>

#include "recorder_call.h"

namespace p11shim::compare {
namespace {

std::string version(const CK_VERSION* version) {
  return std::to_string(version->major) + "." + std::to_string(version->minor);
}

struct FunctionListArgument {
  bool null_place;
  CK_FUNCTION_LIST* list = nullptr;
  auto c() { return std::make_tuple(null_place ? nullptr : &list); }
  void show(Json& in, const Names&) const { in["place"] = !null_place; }
  bool misused() const { return null_place; }
  void report(Report& report) const {
    if (report.rv == CKR_OK && list) report.out["version"] = version(&list->version);
  }
};

struct InterfaceArgument {
  const char* name;
  CK_VERSION* wanted;
  CK_FLAGS flags;
  bool null_place;
  CK_INTERFACE* interface = nullptr;
  auto c() {
    return std::make_tuple(reinterpret_cast<CK_UTF8CHAR*>(const_cast<char*>(name)), wanted,
                           null_place ? nullptr : &interface, flags);
  }
  void show(Json& in, const Names&) const {
    in["name"] = name ? Json(name) : Json(nullptr);
    in["version"] = wanted ? Json(version(wanted)) : Json(nullptr);
    in["flags"] = flags;
  }
  bool misused() const { return null_place; }
  void report(Report& report) const {
    if (report.rv != CKR_OK || !interface) return;
    report.out["name"] = std::string(reinterpret_cast<const char*>(interface->pInterfaceName));
    report.out["version"] = version(static_cast<const CK_VERSION*>(interface->pFunctionList));
    report.out["flags"] = interface->flags;
  }
};

struct InterfaceListArgument {
  Room room;
  CK_ULONG count = room.size;
  std::vector<CK_INTERFACE> interfaces = std::vector<CK_INTERFACE>(room.size);
  auto c() {
    return std::make_tuple(room.kind == Room::Kind::kNull ? nullptr : interfaces.data(),
                           room.kind == Room::Kind::kNoLength ? nullptr : &count);
  }
  void show(Json& in, const Names&) const { in["room"] = room.size; }
  void report(Report& report) const {
    report.out["count"] = count;
    if (report.rv != CKR_OK || room.kind != Room::Kind::kBuffer) return;
    Json& list = report.out["list"] = Json::array();
    for (CK_ULONG i = 0; i < count && i < room.size; ++i)
      list.push_back(std::string(reinterpret_cast<const char*>(interfaces[i].pInterfaceName)) + " " +
                     version(static_cast<const CK_VERSION*>(interfaces[i].pFunctionList)));
  }
};

}  // namespace

CK_RV Recorder::get_function_list(bool null_place) {
  return call("C_GetFunctionList", module_.get_function_list(), FunctionListArgument{null_place});
}

CK_RV Recorder::get_interface(const char* name, CK_VERSION* version, CK_FLAGS flags, bool null_place) {
  return call("C_GetInterface", module_.get_interface(), InterfaceArgument{name, version, flags, null_place});
}

CK_RV Recorder::get_interface_list(Room room) {
  return call("C_GetInterfaceList", module_.get_interface_list(), InterfaceListArgument{room});
}

}  // namespace p11shim::compare
