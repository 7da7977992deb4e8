"""The SIP user agent and the RTP engine against SIPp, baresip and Kamailio."""
