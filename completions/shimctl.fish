# Completion of shimctl for fish: shimctl itself knows what may come next, tokens and keys included.
function __shimctl_complete
    set -l words (commandline -opc)
    shimctl complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c shimctl -a '(__shimctl_complete)'
