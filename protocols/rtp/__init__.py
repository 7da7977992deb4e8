"""RTP and RTCP for telephone calls: G.711, DTMF, one schedule for all calls of a process."""
