// The console's files under /console/ of the admin listener; open, for they hold nothing secret.
//
// Why:     set-up by hand in a browser; all it does goes through the control API.
// Thread:  control.
// Bounds:  the files of the program.
// Errors:  404 for a file that there is not.
#pragma once

#include <string_view>

#include "common/process/admin.hpp"

namespace eventrelay::console {

// What a page of the console may do: load its own files, call its own host, and nothing else.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

void mount_files(AdminServer& admin);

}  // namespace eventrelay::console
