//! Groups for Linux, POSIX systems and Windows.

use super::{Detection as D, ManagedRule, Place as P, Undo as U, rule};

const LINUX_FILES: &[&str] = &[
    r"/proc/+(?:\./+)*(?:version|self|cpuinfo|meminfo|mounts|net/|sys/|sched_debug|\d{1,7}/)",
    r"/etc/+(?:\./+)*(?:passwd|shadow|gshadow|group|issue|hostname|crontab|sudoers|fstab|mtab|exports|ssh/|security/|pam\.d/|cron\.)",
    r"/var/(?:log/(?:apache2?|httpd|nginx|auth|secure|messages|syslog|mail)|spool/cron|run/secrets)",
    r"/(?:root|home/[\w.-]{1,40})/\.(?:ssh|bash_history|bashrc|aws|kube|docker)",
    r"/dev/(?:tcp|udp)/",
    r"/sys/(?:class|kernel|devices)/",
    r"/run/secrets/kubernetes\.io/",
];

/// Environment variables of a shell; case counts, so that a GraphQL variable `$path` is none.
const UNIX_VARIABLES: &[&str] =
    &[r"\$\{?(?:HOME|PATH|SHELL|HOSTNAME|PWD|OLDPWD|LOGNAME|LD_PRELOAD|LD_LIBRARY_PATH|BASH_ENV|HISTFILE|IFS)\b\}?"];

/// Commands after something that starts one. Names that are also English words need what makes them a command.
const UNIX_COMMANDS: &[&str] = &[
    r"(?:;|\|\|?|&&?|\$\(|`)\s*(?:/(?:usr/)?(?:local/)?s?bin/)?(?:whoami|uname|wget|curl|nslookup|ifconfig|netstat|ncat|socat|bash|zsh|chmod|chown|telnet|tftp|busybox|lsof|printenv|getent|mkfifo|nohup|base64|python[23](?:\.\d+)?)(?:\s|[;|&`)<>]|$)",
    r"(?:;|\|\|?|&&?|\$\(|`)\s*(?:/(?:usr/)?(?:local/)?s?bin/)?(?:id|ls|ps|env|pwd|w|arch|dmesg|df)\s*(?:[;|&`)<>]|$)",
    r"(?:;|\|\|?|&&?|\$\(|`)\s*(?:/(?:usr/)?(?:local/)?s?bin/)?(?:cat|ls|less|more|head|tail|tac|nl|cp|mv|rm|sh|nc|ping|dig|find|grep|awk|sed|perl|ruby|php|python|echo|touch|tee|env|id|ps|xxd|od|kill|sudo|su)\s*(?:\s-{1,2}\w|[\s\x22']/\w|\s\.{1,2}/|\s['\x22]?\$|\s[\w.-]{1,40}\.(?:txt|php|py|sh|conf|log)\b)",
    r"(?:;|\|\|?|&&?|\$\(|`)\s*(?:sleep|ping\s+-c)\s+\d{1,4}\s*(?:[;|&`)#]|$)",
    r"/(?:usr/)?(?:local/)?bin/(?:ba|da|z|k|c|tc)?sh\b",
    r"\b(?:ba|da|z|k)?sh\s+-[a-z]*[ic]\b",
    r"\(\)\s*\{\s*:?\s*;?\s*\}\s*;",
    r"\b(?:nc|ncat|netcat)\s+(?:-[a-z]+\s+)*-[a-z]*e\b",
    r"\|\s*(?:ba|da|z|k)?sh\b\s*(?:$|[;|&<>-])",
    r"\becho\s+['\x22]?\$[A-Z{]",
];

const WINDOWS_COMMANDS: &[&str] = &[
    r"(?:;|\|\|?|&&?|`)\s*(?:nslookup|cmd(?:\.exe)?|powershell(?:\.exe)?|pwsh|ipconfig|systeminfo|tasklist|certutil|bitsadmin|wmic|mshta|rundll32|regsvr32|cscript|wscript|whoami|schtasks|netsh)\b",
    r"(?:;|\|\|?|&&?|`)\s*(?:net\s+(?:user|localgroup|view|use|share|start)|ping\s+-n\s*\d|reg\s+(?:add|query|delete)|type\s+[a-z]:\\|dir\s+(?:/|[a-z]:)|del\s+/|copy\s+[a-z]:\\|start\s+/b)",
    r"\bcmd(?:\.exe)?\s*/[ckr]\b",
    r"%(?:comspec|systemroot|windir|programfiles|userprofile|systemdrive)%",
    r"\b[a-z]:\\+windows\\+system32\\",
    r"\bcertutil(?:\.exe)?\s+[-/](?:urlcache|decode)",
];

const POWERSHELL: &[&str] = &[
    r"\binvoke-(?:expression|webrequest|command|restmethod|shellcode|mimikatz|item|wmimethod|obfuscation)\b",
    r"\biex\s*[(\x22'$]",
    r"\bnew-object\s+(?:-typename\s+)?(?:system\.)?(?:net\.(?:webclient|sockets\.tcpclient)|io\.|diagnostics\.process)",
    r"\.download(?:string|file|data)\s*\(",
    r"\bpowershell(?:\.exe)?\s+.{0,60}-(?:e|en|enc|encodedcommand|nop|noprofile|w|windowstyle|ep|executionpolicy|c|command)\b",
    r"\b(?:set-executionpolicy|start-process|start-bitstransfer|add-mppreference|set-mppreference|get-wmiobject|convertto-securestring)\b",
    r"\[system\.(?:convert|text\.encoding|reflection\.assembly|net\.webclient)[\w.]*\]::",
    r"\bfrombase64string\s*\(",
];

pub(super) static LINUX_RULES: &[ManagedRule] = &[
    rule(
        "LFI_URIPATH",
        "LFI_URIPath",
        D::Patterns(P::Path, &[U::UrlTwice], LINUX_FILES),
    ),
    rule(
        "LFI_QUERYSTRING",
        "LFI_QueryString",
        D::Patterns(P::Query, &[U::Url, U::UrlTwice], LINUX_FILES),
    ),
    rule(
        "LFI_HEADER",
        "LFI_Header",
        D::Patterns(P::Headers, &[U::Url], LINUX_FILES),
    ),
];

pub(super) static UNIX_RULES: &[ManagedRule] = &[
    rule(
        "UNIXShellCommandsVariables_QUERYARGUMENTS",
        "UNIXShellCommandsVariables_QUERYARGUMENTS",
        D::Either(&[
            D::ExactPatterns(P::Arguments, &[U::Url], UNIX_VARIABLES),
            D::Patterns(P::Arguments, &[U::Url], UNIX_COMMANDS),
            // Quotes inside of names (`c'a't`) are gone here, and so are the separators.
            D::Patterns(P::Arguments, &[U::Shell], &[UNIX_COMMANDS_JOINED]),
        ]),
    ),
    rule(
        "UNIXShellCommandsVariables_BODY",
        "UNIXShellCommandsVariables_BODY",
        D::Either(&[
            D::ExactPatterns(P::Body, &[U::Url], UNIX_VARIABLES),
            D::Patterns(P::Body, &[U::Url], UNIX_COMMANDS),
        ]),
    ),
];

const UNIX_COMMANDS_JOINED: &str =
    r"(?:^|[|&`]|\$\()\s*(?:cat|less|more|head|tail|nl|tac)/etc/|(?:^|[|&`]|\$\()\s*(?:wget|curl)\s(?:-\w+\s)?https?:";

pub(super) static WINDOWS_RULES: &[ManagedRule] = &[
    rule(
        "WindowsShellCommands_COOKIE",
        "WindowsShellCommands_Cookie",
        D::Patterns(P::Cookies, &[U::Url], WINDOWS_COMMANDS),
    ),
    rule(
        "WindowsShellCommands_QUERYARGUMENTS",
        "WindowsShellCommands_QueryArguments",
        D::Patterns(P::Arguments, &[U::Url], WINDOWS_COMMANDS),
    ),
    rule(
        "WindowsShellCommands_BODY",
        "WindowsShellCommands_Body",
        D::Patterns(P::Body, &[U::Url], WINDOWS_COMMANDS),
    ),
    rule(
        "PowerShellCommands_COOKIE",
        "PowerShellCommands_Cookie",
        D::Patterns(P::Cookies, &[U::Url], POWERSHELL),
    ),
    rule(
        "PowerShellCommands_QUERYARGUMENTS",
        "PowerShellCommands_QueryArguments",
        D::Patterns(P::Arguments, &[U::Url], POWERSHELL),
    ),
    rule(
        "PowerShellCommands_BODY",
        "PowerShellCommands_Body",
        D::Patterns(P::Body, &[U::Url], POWERSHELL),
    ),
];
