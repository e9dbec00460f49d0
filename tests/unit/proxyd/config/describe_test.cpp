#include "proxyd/config/describe.h"

#include "parsed.h"

namespace p11shim {
namespace {

TEST(Describe, SummarisesWhatWouldBeServed) {
  const Config config = parsed(R"([log]
level = "debug"
[audit]
enabled = true
journal = true
[[module]]
name = "soft"
path = "/usr/lib/softhsm/libsofthsm2.so"
[[module]]
name = "nss"
path = "/usr/lib/libsoftokn3.so"
tokens = "*"
admin = true
[[member]]
name = "m"
module = "soft"
token_label = "prod"
[[pool]]
name = "signing"
label = "Signing"
members = ["m"]
admin = ["user:root"]
)");
  EXPECT_EQ(describe(config), R"(listen   /run/p11shim/proxyd.sock (mode 0660)
control  /run/p11shim/control.sock (mode 0660)
state    /var/lib/p11shim
log      level = "debug"
audit    /var/log/p11shim/audit.jsonl and journal, classes = ["admin", "auth", "use"]
module   soft: /usr/lib/softhsm/libsofthsm2.so
module   nss: /usr/lib/libsoftokn3.so
         every token, lanes = 8, sessions_ro = 8, sessions_rw = 8
         allow everybody, admin everybody
member   m: label "prod" of module soft, login = "client"
         lanes = 8, sessions_ro = 8, sessions_rw = 8
pool     signing: token "Signing", members = ["m"]
         allow everybody, admin ["user:root"]
)");
}

TEST(Describe, NeverShowsArgumentsOfPinCommands) {
  const Config config = parsed(
      "[[module]]\nname = \"a\"\npath = \"/a\"\n[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n[[member]]\nname "
      "= \"m\"\n"
      "module = \"a\"\nslot = 0\nlogin = \"daemon\"\npin_command = [\"/x\", \"hunter2\"]\nenvironment = { "
      "PIN = "
      "\"hunter2\" }\n");
  EXPECT_EQ(describe(config).find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace p11shim
