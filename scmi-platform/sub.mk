# OP-TEE's build takes this folder in as a part of the platform: core-platform-subdirs in its environment.
srcs-y += scmi_server.c
