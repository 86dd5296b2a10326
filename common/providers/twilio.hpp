// What Twilio signs: the URI and the sorted parameters of a form, or the URI with a body's hash.
//
// Why:     the one provider whose signed text is not a row of pieces
//          (www.twilio.com/docs/usage/security; github.com/twilio/twilio-python).
// Thread:  any; pure.  Bounds: kFormParametersMax parameters, the size of the body.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::providers {

// The text a sender signs. A body beside `bodySHA256` in the URI is not part of it.
[[nodiscard]] std::string twilio_text(std::string_view uri, std::string_view body);

// The texts that a receiver takes: with and without the default port in the URI. None where the
// hash in the URI is not the body's, a body that is no form has no hash there, or a form is broken.
[[nodiscard]] std::vector<std::string> twilio_texts(std::string_view uri, std::string_view body,
                                                    std::string_view content_type);

}  // namespace eventrelay::providers
