#include "infos.h"

namespace p11shim::compare {
namespace {

template <std::size_t Size>
std::string text(const CK_UTF8CHAR (&field)[Size]) {
  return std::string(reinterpret_cast<const char*>(field), Size);
}

std::string version(CK_VERSION version) { return std::to_string(version.major) + "." + std::to_string(version.minor); }

Json count(CK_ULONG number) {
  if (number == CK_UNAVAILABLE_INFORMATION) return "unavailable";
  return number;
}

}  // namespace

void report_info(const CK_INFO& info, Report& report) {
  report.out["cryptokiVersion"] = version(info.cryptokiVersion);
  report.out["manufacturerID"] = text(info.manufacturerID);
  report.out["flags"] = info.flags;
  report.out["libraryDescription"] = text(info.libraryDescription);
  report.out["libraryVersion"] = version(info.libraryVersion);
}

void report_info(const CK_SLOT_INFO& info, Report& report) {
  report.out["slotDescription"] = text(info.slotDescription);
  report.out["manufacturerID"] = text(info.manufacturerID);
  report.out["flags"] = info.flags;
  report.out["hardwareVersion"] = version(info.hardwareVersion);
  report.out["firmwareVersion"] = version(info.firmwareVersion);
}

void report_info(const CK_TOKEN_INFO& info, Report& report) {
  report.out["label"] = text(info.label);
  report.out["manufacturerID"] = text(info.manufacturerID);
  report.out["model"] = text(info.model);
  report.out["serialNumber"] = text(info.serialNumber);
  report.out["flags"] = info.flags;
  report.out["ulMaxSessionCount"] = count(info.ulMaxSessionCount);
  report.out["ulSessionCount"] = count(info.ulSessionCount);
  report.out["ulMaxRwSessionCount"] = count(info.ulMaxRwSessionCount);
  report.out["ulRwSessionCount"] = count(info.ulRwSessionCount);
  report.out["ulMaxPinLen"] = info.ulMaxPinLen;
  report.out["ulMinPinLen"] = info.ulMinPinLen;
  report.out["ulTotalPublicMemory"] = count(info.ulTotalPublicMemory);
  report.out["ulFreePublicMemory"] = count(info.ulFreePublicMemory);
  report.out["ulTotalPrivateMemory"] = count(info.ulTotalPrivateMemory);
  report.out["ulFreePrivateMemory"] = count(info.ulFreePrivateMemory);
  report.out["hardwareVersion"] = version(info.hardwareVersion);
  report.out["firmwareVersion"] = version(info.firmwareVersion);
  report.out["utcTime"] = text(info.utcTime);
}

void report_info(const CK_MECHANISM_INFO& info, Report& report) {
  report.out["ulMinKeySize"] = info.ulMinKeySize;
  report.out["ulMaxKeySize"] = info.ulMaxKeySize;
  report.out["flags"] = info.flags;
}

void report_info(const CK_SESSION_INFO& info, Report& report) {
  report.out["slotID"] = report.names.slots.of(info.slotID);
  report.out["state"] = info.state;
  report.out["flags"] = info.flags;
  report.out["ulDeviceError"] = info.ulDeviceError;
}

}  // namespace p11shim::compare
