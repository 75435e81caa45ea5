// Command kuule-agent is the device's side of Kuule: it holds the TPM, keeps
// the machine attested and stands between its browser and the server.
//
//	kuule-agent identifier            name of this machine's TPM, for the agreement
//	kuule-agent enrol URL --trust F   enrol, and pin the installation's trust file
//	kuule-agent run --bundle F        posture, certificate, and the browser's gateway
//	kuule-agent start-url             a start link for the browser: one use, one minute
//	kuule-agent status                how this machine stands
//
// Its inside is package attestation/agent; the commands are in agent/cli, where
// tests run them with a software TPM.
package main
