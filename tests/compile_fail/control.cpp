// This compiles: what the other files do is wrong for the reason that they name.
#include "client_tls/client_tls.hpp"

using client_tls::ClientTls;
using client_tls::Phase;
using client_tls::PhaseContext;

bool control(SSL* ssl, PhaseContext& context) {
  const bool bound = ClientTls::In<Phase::client_hello>{ssl, context}.bind_session("scope").has_value();
  const ClientTls::In<Phase::certificate> certificate{ssl, context};
  const bool asked = certificate.request_client_certificate().has_value();
  const bool disabled = certificate.disable_session_reuse().has_value();
  const ClientTls::In<Phase::access> access{ssl, context};
  const bool chain = access.get_full_client_certificate_chain().has_value();
  access.set_client_verify("NONE");
  const bool logged = ClientTls::In<Phase::log>{ssl, context}.log_entry().has_value();
  return bound && asked && disabled && chain && logged && ClientTls{ssl, context}.log_entry().has_value();
}
