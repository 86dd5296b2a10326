# Sourced with a folder: podman keeps its images and containers in there, and runs where hard limits
# may not be raised and control groups are of both versions.
store=$1
cat >"$store/containers.conf" <<END
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]
END
cat >"$store/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$store/graph"
runroot = "$store/run"
END
export CONTAINERS_CONF=$store/containers.conf CONTAINERS_STORAGE_CONF=$store/storage.conf
